import type { ConvexHttpClient } from "convex/browser";
import { api } from "../_generated/api";
import type { Id } from "../_generated/dataModel";

export const shared = async (client: ConvexHttpClient, imageId: Id<"images">) => {
  const image = await client.query(api.images.getImageById, { imageId });
  return image.url; // TS18047
};
