import { useMutation } from "convex/react";
import { api } from "../_generated/api";
import type { Id } from "../_generated/dataModel";

export const feature = (imageId: Id<"images">) =>
  useMutation(api.images.updateFeaturedStatus)({ imageId, isFeatured: "yes" }); // TS2322
