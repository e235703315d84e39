import { useQuery } from "convex/react";
import { api } from "../_generated/api";
import type { Id } from "../_generated/dataModel";

export const shared = (id: Id<"images">) => useQuery(api.images.getImageById, { id }); // TS2353
