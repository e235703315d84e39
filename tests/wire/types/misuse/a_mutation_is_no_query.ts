import { useQuery } from "convex/react";
import { api } from "../_generated/api";

export const address = () => useQuery(api.images.generateUploadUrl, {}); // TS2345
