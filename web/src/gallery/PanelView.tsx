import { type CSSProperties, memo, type ReactNode, useState } from "react";
import { Drop } from "../app/Wordmark";
import { describe, statusOf } from "../image/derived";
import { Picture } from "../image/Picture";
import type { Showable } from "../image/types";
import type { Panel, Row } from "./panels";

type PanelProps = {
  row: Row;
  panel: Panel;
  /** Undefined for the ghost of a panel that is still loading. */
  image: Showable | undefined;
  now: number;
  isNew: boolean;
  isEager: boolean;
  position: number;
  /** -1 while nobody knows. */
  count: number;
  mark: ReactNode;
  onOpen: (() => void) | undefined;
  onFocus: () => void;
  onBlur: () => void;
};

/** One panel on its place in the page. */
export const PanelView = memo(
  function PanelView({ row, panel, image, now, isNew, isEager, position, count, mark, onOpen, onFocus, onBlur }: PanelProps) {
    const place: CSSProperties & Record<"--shape", string> = {
      transform: `translate(${panel.left}px, ${row.top}px)`,
      width: panel.width,
      height: row.height,
      "--shape": panel.shape,
    };
    // Asked once: the entrance must not begin anew whenever the panel is drawn again.
    const [enters] = useState(isNew);
    if (!image) return <li className="panel panel-ghost" style={place} aria-hidden="true" />;
    const status = statusOf(image);
    const isDrawing = status === "pending" || status === "processing";
    return (
      <li
        className={`panel ${enters ? "is-new" : ""}`}
        style={place}
        aria-setsize={count}
        aria-posinset={position}
        data-testid="panel"
        data-image-id={image._id}
        data-status={status}
      >
        <button type="button" className="panel-open" onClick={onOpen} onFocus={onFocus} onBlur={onBlur}>
          {/* Not a label: what the panel says of itself belongs to its name. */}
          <span className="unseen">{describe(image, now)}</span>
          <span className="panel-inside">
            <Picture image={image} eager={isEager} />
            {isDrawing && (
              <span className="panel-drawing">
                <span className="panel-words">
                  <Drop size={26} />
                  {status === "pending" ? "In line" : "Drawing…"}
                </span>
              </span>
            )}
            {mark && <span className="panel-mark">{mark}</span>}
          </span>
        </button>
      </li>
    );
  },
  (before, after) =>
    before.row.top === after.row.top &&
    before.row.height === after.row.height &&
    before.panel.left === after.panel.left &&
    before.panel.width === after.panel.width &&
    before.panel.shape === after.panel.shape &&
    before.image === after.image &&
    before.now === after.now &&
    before.position === after.position &&
    before.count === after.count,
);
