import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { useNow } from "../app/useNow";
import { Button, Spinner } from "../design";
import { keyOf } from "../image/derived";
import type { Showable } from "../image/types";
import { PanelView } from "./PanelView";
import { formatFor, heightOf, layOut, ratioOf, rowsWithin } from "./panels";
import { useStretch, useWidth } from "./useWindow";
import "./wall.css";

const GHOSTS = [0.75, 1.5, 1, 0.8, 1.33, 1.78, 0.75, 1].map((ratio) => ({ originalWidth: ratio, originalHeight: 1 }));
/** How near its end may come, in pixels, before more is asked for. */
const NEAR = 1_400;

type WallProps<T extends Showable> = {
  images: readonly T[];
  /** What the list is called. */
  label: string;
  onOpen: (image: T) => void;
  isLoading: boolean;
  hasMore: boolean;
  onLoadMore: () => void;
  /** Stands in the corner of a panel. */
  mark?: (image: T) => ReactNode;
  /** Stands in place of the wall when nothing is there. */
  empty: ReactNode;
  end?: ReactNode;
  testid?: string;
};

/** A wall of panels of any length: only what is near the screen is in the document. */
export function Wall<T extends Showable>({ images, label, onOpen, isLoading, hasMore, onLoadMore, mark, empty, end, testid }: WallProps<T>) {
  // The list comes and goes with its first and last picture.
  const [list, setList] = useState<HTMLUListElement | null>(null);
  const width = useWidth(list);
  const stretch = useStretch(list);
  const now = useNow();
  const isFirst = isLoading && images.length === 0;
  const shapes: readonly { originalWidth?: number; originalHeight?: number }[] = isFirst ? GHOSTS : images;
  const rows = useMemo(
    () => (width > 0 ? layOut(shapes.map((each) => ratioOf(each.originalWidth, each.originalHeight)), formatFor(width)) : []),
    [shapes, width],
  );
  const height = heightOf(rows);
  const [first, past] = rowsWithin(rows, stretch.from, stretch.to);
  const isNew = useNewcomers(images, isFirst);
  const [focused, setFocused] = useState<string | null>(null);

  const isNear = width > 0 && stretch.to + NEAR > height;
  useEffect(() => {
    if (isNear && hasMore && !isLoading) onLoadMore();
  }, [isNear, hasMore, isLoading, onLoadMore]);

  if (images.length === 0 && !isLoading && !hasMore) return <>{empty}</>;
  return (
    <>
      <ul ref={setList} className="wall" role="list" aria-label={label} aria-busy={isFirst} data-testid={testid} style={{ height }}>
        {rows.map((row, at) =>
          row.panels.map((panel) => {
            const image = isFirst ? undefined : images[panel.index];
            const key = image ? keyOf(image) : `ghost ${panel.index}`;
            // The panel that has the focus stays, however far it is scrolled away.
            if ((at < first || at >= past) && key !== focused) return null;
            return (
              <PanelView
                key={key}
                row={row}
                panel={panel}
                image={image}
                now={now}
                isNew={isNew(key)}
                isEager={at < 2}
                position={panel.index + 1}
                count={hasMore ? -1 : images.length}
                mark={image && mark?.(image)}
                onOpen={image ? () => onOpen(image) : undefined}
                onFocus={() => setFocused(key)}
                onBlur={() => setFocused(null)}
              />
            );
          }),
        )}
      </ul>
      <div className="wall-foot" data-state={isLoading ? "loading" : hasMore ? "more" : "end"}>
        {isLoading && !isFirst && <Spinner label="Turning the page" size={28} />}
        {!isLoading && hasMore && <Button onClick={onLoadMore}>Show more</Button>}
        {!isLoading && !hasMore && end}
      </div>
    </>
  );
}

/** Which pictures came while somebody was looking? They may make an entrance. */
function useNewcomers(images: readonly Showable[], isFirst: boolean) {
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!isFirst) known.current = new Set(images.map(keyOf));
  }, [images, isFirst]);
  return (key: string) => known.current !== null && !known.current.has(key);
}
