import { usePaginatedQuery } from "convex/react";
import { api } from "../_generated/api";

export const all = () => usePaginatedQuery(api.images.getGalleryImages, {}, { initialNumItems: 4 }); // TS2345
