import { useState } from "react";
import { ago, onDate } from "../app/time";
import { useNow } from "../app/useNow";
import { useSession } from "../auth/session";
import { Button, ButtonLink } from "../design";
import type { Id } from "../_generated/dataModel.js";
import { Compare } from "./Compare";
import { useDeletions } from "./Deletions";
import { describe, fileNameOf, modalDataOf, sameOrigin } from "./derived";
import { FeatureRequest } from "./FeatureRequest";
import { ShareSettings } from "./ShareSettings";
import { Stage } from "./Stage";
import type { GalleryImageType } from "./types";

export type ImageModalProps = {
  /** Null: nothing is open. */
  image: GalleryImageType | null;
  onClose: () => void;
  onDeleted?: (imageId: Id<"images">) => void;
  onStep?: (by: 1 | -1) => void;
  hasPrevious?: boolean;
  hasNext?: boolean;
};

/** One of the member's own pictures, and everything that can be done with it. */
export function ImageModal({ image, ...rest }: ImageModalProps) {
  return image && <OpenModal image={image} {...rest} />;
}

function OpenModal({ image, onClose, onDeleted, ...stepping }: ImageModalProps & { image: GalleryImageType }) {
  const now = useNow();
  const { subject } = useSession();
  const { remove } = useDeletions();
  const [compares, setCompares] = useState(false);
  const { isProcessing, canFeature } = modalDataOf(image, subject);
  const title = describe(image, now);
  const original = image.originalImageId;
  return (
    <Stage
      image={image}
      title={title}
      onClose={onClose}
      {...stepping}
      picture={compares && original ? <Compare key={image._id} image={image} originalImageId={original} /> : undefined}
    >
      <div>
        <p className="stage-title" aria-hidden="true">{isProcessing ? "On its way" : "Yours"}</p>
        <p className="side-when" title={onDate(image.createdAt)}>
          {isProcessing ? "The ink is still wet." : `Drawn ${ago(image.createdAt, now)}.`}
        </p>
      </div>
      {!isProcessing && (
        <div className="side-tools">
          <ButtonLink look="hot" icon="download" href={sameOrigin(image.url) ?? ""} download={fileNameOf(image)} data-testid="download">
            Save to this device
          </ButtonLink>
          {original && (
            <Button icon="compare" aria-pressed={compares} onClick={() => setCompares(!compares)} data-testid="compare">
              {compares ? "Only the drawing" : "Compare with the photo"}
            </Button>
          )}
        </div>
      )}
      {canFeature && <FeatureRequest image={image} />}
      {!isProcessing && <ShareSettings image={image} />}
      <div className="side-end">
        <Button
          look="danger"
          icon="trash"
          data-testid="delete"
          onClick={() => {
            remove(image._id, isProcessing ? "Photo" : "Drawing");
            onDeleted?.(image._id);
          }}
        >
          {isProcessing ? "Cancel and delete" : "Delete"}
        </Button>
      </div>
    </Stage>
  );
}
