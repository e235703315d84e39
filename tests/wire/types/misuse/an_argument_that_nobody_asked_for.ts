import { useQuery } from "convex/react";
import { api } from "../_generated/api";

export const balance = () => useQuery(api.users.getCurrentUserCredits, { userId: "user_1" }); // TS2322
