import { useQuery } from "convex/react";
import { api } from "../_generated/api";

export const shared = () => useQuery(api.images.getImageById, {}); // TS2345
