import type { ConvexClient } from "convex/browser";
import { api } from "../_generated/api";

export const remove = (client: ConvexClient) =>
  client.mutation(api.images.deleteImage, { imageId: "k17" }); // TS2322
