import type { FunctionReturnType } from "convex/server";
import type { api } from "../_generated/api.js";

/** Inferred from the functions that return them, so they cannot drift apart. */
export type GalleryImageType = FunctionReturnType<typeof api.images.getGalleryImagesPaginated>["page"][number];
export type PublicGalleryImage = FunctionReturnType<typeof api.images.getPublicGallery>["page"][number];
export type SharedImage = NonNullable<FunctionReturnType<typeof api.images.getImageById>>;
export type FailedImage = FunctionReturnType<typeof api.images.getFailedImages>[number];

/** What is enough to show a picture. */
export type Showable = PublicGalleryImage | GalleryImageType | SharedImage;
