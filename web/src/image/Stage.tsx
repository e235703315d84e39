import { type CSSProperties, type ReactNode, useRef } from "react";
import { Dialog, IconButton } from "../design";
import { ratioOf } from "../gallery/panels";
import { Picture } from "./Picture";
import type { Showable } from "./types";
import "./stage.css";

type StageProps = {
  image: Showable;
  title: string;
  onClose: () => void;
  onStep?: (by: 1 | -1) => void;
  hasPrevious?: boolean;
  hasNext?: boolean;
  /** In place of the picture, for instance the comparison. */
  picture?: ReactNode;
  /** Beside the picture. */
  children: ReactNode;
};

const SWIPE = 60;

/** One picture, as large as the window lets it be, and a column of what can be done with it. */
export function Stage({ image, title, onClose, onStep, hasPrevious = false, hasNext = false, picture, children }: StageProps) {
  const touch = useRef<number | null>(null);
  const width = image.originalWidth ?? 1;
  const height = image.originalHeight ?? 1;
  const style: CSSProperties & Record<"--ratio", number> = { "--ratio": width > 0 && height > 0 ? width / height : ratioOf(width, height) };
  function steer(event: React.KeyboardEvent) {
    const at = event.target as HTMLElement;
    if (at.matches("input, select, textarea, [role=menuitem]")) return;
    if (event.key === "ArrowLeft" && hasPrevious) onStep?.(-1);
    if (event.key === "ArrowRight" && hasNext) onStep?.(1);
  }
  return (
    <Dialog title={title} onClose={onClose} shape="stage" bare testid="image-modal">
      <div className="stage" onKeyDown={steer}>
        <div
          className="stage-view"
          onClick={(event) => event.target === event.currentTarget && onClose()}
          onTouchStart={(event) => {
            touch.current = event.touches.length === 1 ? (event.touches[0]?.clientX ?? null) : null;
          }}
          onTouchEnd={(event) => {
            const by = touch.current === null || picture ? 0 : (event.changedTouches[0]?.clientX ?? 0) - touch.current;
            touch.current = null;
            if (by > SWIPE && hasPrevious) onStep?.(-1);
            if (by < -SWIPE && hasNext) onStep?.(1);
          }}
        >
          <div className="stage-frame" style={style}>
            {picture ?? <Picture key={image._id} image={image} alt={title} eager fit="contain" />}
          </div>
          <IconButton className="stage-close" label="Close" icon="close" size={24} onClick={onClose} data-testid="modal-close" />
          {onStep && (
            <>
              <IconButton className="stage-previous" label="Previous picture" icon="left" size={26} disabled={!hasPrevious} onClick={() => onStep(-1)} />
              <IconButton className="stage-next" label="Next picture" icon="right" size={26} disabled={!hasNext} onClick={() => onStep(1)} />
            </>
          )}
        </div>
        <aside className="stage-side" aria-label="About this picture">{children}</aside>
      </div>
    </Dialog>
  );
}
