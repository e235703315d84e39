import type { ConvexClient } from "convex/browser";
import { api } from "../_generated/api";
import type { Id } from "../_generated/dataModel";

export const remove = (client: ConvexClient, imageId: Id<"users">) =>
  client.mutation(api.images.deleteImage, { imageId }); // TS2322
