import type { FunctionReturnType } from "convex/server";
import type { api } from "../_generated/api";

type PublicImage = FunctionReturnType<typeof api.images.getPublicGallery>["page"][number];
export const owner = (image: PublicImage) => image.userId; // TS2339
