import { type ReactNode, useState } from "react";
import type { Id } from "../_generated/dataModel.js";
import { Badge, Icon } from "../design";
import { keyOf, standingOf } from "../image/derived";
import { ImageModal } from "../image/ImageModal";
import type { GalleryImageType } from "../image/types";
import { Wall } from "./Wall";

export type ImagePreviewProps = {
  images: readonly GalleryImageType[];
  totalImages: number;
  onLoadMore: () => void;
  hasMore: boolean;
  isLoading: boolean;
  onDeleted: (imageId: Id<"images">) => void;
  empty: ReactNode;
};

/** The member's own wall, and the picture that is open on it. */
export function ImagePreview({ images, totalImages, onLoadMore, hasMore, isLoading, onDeleted, empty }: ImagePreviewProps) {
  // By its place rather than its id: a photo that is open while its drawing arrives becomes the drawing.
  const [openKey, setOpenKey] = useState<string | null>(null);
  const at = openKey === null ? -1 : images.findIndex((image) => keyOf(image) === openKey);
  const open = images[at] ?? null;
  function stepBy(by: 1 | -1) {
    const next = images[at + by];
    if (next) setOpenKey(keyOf(next));
    if (at + by >= images.length - 2 && hasMore && !isLoading) onLoadMore();
  }
  return (
    <>
      <Wall
        images={images}
        label={`My drawings, ${totalImages} in all`}
        testid="gallery"
        onOpen={(image) => setOpenKey(keyOf(image))}
        isLoading={isLoading}
        hasMore={hasMore}
        onLoadMore={onLoadMore}
        mark={markOf}
        empty={empty}
      />
      <ImageModal
        image={open}
        onClose={() => setOpenKey(null)}
        onDeleted={(imageId) => {
          setOpenKey(null);
          onDeleted(imageId);
        }}
        onStep={stepBy}
        hasPrevious={at > 0}
        hasNext={at >= 0 && at < images.length - 1}
      />
    </>
  );
}

function markOf(image: GalleryImageType): ReactNode {
  switch (standingOf(image).name) {
    case "featured":
      return <Badge><Icon name="star" size={14} /> In public</Badge>;
    case "hidden":
      return <Badge variant="destructive"><Icon name="shield" size={14} /> Hidden</Badge>;
    case "rejected":
      return <Badge variant="outline"><Icon name="shield" size={14} /> Taken down</Badge>;
    case "private":
      return null;
  }
}
