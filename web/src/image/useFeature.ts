import { optimisticallyUpdateValueInPaginatedQuery, useMutation } from "convex/react";
import { api } from "../_generated/api.js";

/** Put a drawing onto the public wall or take it down; shown at once, corrected by what the server says. */
export function useFeature() {
  return useMutation(api.images.updateFeaturedStatus).withOptimisticUpdate((store, { imageId, isFeatured }) => {
    optimisticallyUpdateValueInPaginatedQuery(store, api.images.getGalleryImagesPaginated, {}, (image) =>
      image._id === imageId ? { ...image, isFeatured } : image,
    );
  });
}

/** Share by link, for some hours or until told otherwise, or stop sharing. */
export function useShareSettings() {
  return useMutation(api.images.updateShareSettings).withOptimisticUpdate((store, { imageId, sharingEnabled, expirationHours }) => {
    const ends = sharingEnabled && expirationHours ? { shareExpiresAt: Date.now() + expirationHours * 3_600_000 } : {};
    optimisticallyUpdateValueInPaginatedQuery(store, api.images.getGalleryImagesPaginated, {}, (image) => {
      if (image._id !== imageId) return image;
      const { shareExpiresAt: _, ...rest } = image;
      return { ...rest, sharingEnabled, ...ends };
    });
  });
}
