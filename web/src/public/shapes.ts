import type { CSSProperties } from "react";

export type Point = readonly [x: number, y: number];

const rounded = (value: number) => Math.round(value * 100) / 100;

/** The box around a polygon, and the polygon within that box; everything in percent of the surrounding page. */
export function shapeOf(points: readonly Point[]): CSSProperties & Record<"--shape", string> {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const corners = points.map(([x, y]) => `${rounded(((x - left) / width) * 100)}% ${rounded(((y - top) / height) * 100)}%`);
  return { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%`, "--shape": `polygon(${corners.join(", ")})` };
}
