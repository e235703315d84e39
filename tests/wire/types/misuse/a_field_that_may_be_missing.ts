import type { Doc } from "../_generated/dataModel";

export const featured = (image: Doc<"images">): Date => new Date(image.featuredAt); // TS2769
