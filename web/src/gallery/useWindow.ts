import { useEffect, useLayoutEffect, useState } from "react";

/** How far beyond the screen panels are kept, in pixels: a fast flick must not outrun them. */
const AHEAD = 1_100;
/** The window moves in steps of this many pixels, so that scrolling draws seldom. */
const STEP = 400;

export type Stretch = { from: number; to: number };

/** The width of an element, live; 0 until it is measured. */
export function useWidth(element: HTMLElement | null): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

/** The stretch of an element that is on the screen or near it, in the element's own pixels. */
export function useStretch(element: HTMLElement | null): Stretch {
  const [stretch, setStretch] = useState<Stretch>({ from: 0, to: 2 * AHEAD });
  useEffect(() => {
    if (!element) return;
    let frame = 0;
    const look = () => {
      frame = 0;
      const above = -element.getBoundingClientRect().top;
      const from = Math.floor((above - AHEAD) / STEP) * STEP;
      const to = Math.ceil((above + innerHeight + AHEAD) / STEP) * STEP;
      setStretch((before) => (before.from === from && before.to === to ? before : { from, to }));
    };
    const soon = () => {
      frame ||= requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    // What lies above may grow, for instance the desk.
    const observer = new ResizeObserver(soon);
    observer.observe(document.body);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
      observer.disconnect();
    };
  }, [element]);
  return stretch;
}
