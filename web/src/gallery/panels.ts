/**
 * Lays pictures out like the panels of a manga page: rows of one height, filled from edge to edge, with slanted
 * gutters that lean the other way in every other row. Pure: numbers in, numbers out.
 */
export type Panel = {
  index: number;
  /** Pixels from the left of the row; the box of a panel reaches into the gutters as far as its slant does. */
  left: number;
  width: number;
  /** A CSS polygon in percent of the panel's box. */
  shape: string;
};
export type Row = { top: number; height: number; panels: Panel[] };
export type PageFormat = { width: number; target: number; gap: number; slant: number };

/** Panoramas and receipts would make a row of their own; they are cropped to these shapes. */
const NARROWEST = 0.6;
const WIDEST = 2.2;
/** Rows breathe: some panels are taller than others. */
const RHYTHM = [1.12, 0.86, 1, 0.92];
/** A last row that is almost full is filled. */
const NEARLY_FULL = 0.72;

export function ratioOf(width: number | undefined, height: number | undefined): number {
  const ratio = (width ?? 1) / (height ?? 1);
  return Number.isFinite(ratio) && ratio > 0 ? Math.min(Math.max(ratio, NARROWEST), WIDEST) : 1;
}

/** What fits a window of this width. */
export function formatFor(width: number): PageFormat {
  if (width < 520) return { width, target: 178, gap: 5, slant: 4 };
  if (width < 960) return { width, target: 250, gap: 7, slant: 8 };
  return { width, target: Math.min(340, 210 + width / 12), gap: 9, slant: 11 };
}

export function layOut(ratios: readonly number[], format: PageFormat): Row[] {
  const rows: Row[] = [];
  let start = 0;
  let top = 0;
  while (start < ratios.length) {
    const target = format.target * (RHYTHM[rows.length % RHYTHM.length] ?? 1);
    const { end, height } = nextRow(ratios, start, target, format);
    rows.push({ top, height, panels: panelsOf(ratios, start, end, height, format, rows.length % 2 === 0 ? 1 : -1) });
    top += height + format.gap;
    start = end;
  }
  return rows;
}

export function heightOf(rows: readonly Row[]): number {
  const last = rows.at(-1);
  return last ? last.top + last.height : 0;
}

/** The rows that touch a stretch of the page, as a half-open range. */
export function rowsWithin(rows: readonly Row[], from: number, to: number): [number, number] {
  const first = firstWhere(rows, (row) => row.top + row.height >= from);
  return [first, Math.max(first, firstWhere(rows, (row) => row.top > to))];
}

function nextRow(ratios: readonly number[], start: number, target: number, { width, gap }: PageFormat) {
  const heightWith = (end: number, sum: number) => (width - gap * (end - start - 1)) / sum;
  let sum = 0;
  for (let end = start + 1; end <= ratios.length; end++) {
    const before = sum;
    sum += ratios[end - 1] ?? 1;
    const height = heightWith(end, sum);
    if (height > target) continue;
    // One panel more is a little too low, one less a little too high: the nearer one it is.
    const without = end - 1 > start ? heightWith(end - 1, before) : Number.POSITIVE_INFINITY;
    return without - target < target - height ? { end: end - 1, height: without } : { end, height };
  }
  const filled = heightWith(ratios.length, sum);
  return { end: ratios.length, height: filled * NEARLY_FULL <= target ? filled : target };
}

function panelsOf(ratios: readonly number[], start: number, end: number, height: number, format: PageFormat, lean: 1 | -1): Panel[] {
  const panels: Panel[] = [];
  let at = 0;
  for (let index = start; index < end; index++) {
    const width = (ratios[index] ?? 1) * height;
    const onLeft = index === start ? 0 : format.slant;
    const isLoose = index === end - 1 && at + width < format.width - 1;
    const onRight = index === end - 1 && !isLoose ? 0 : format.slant;
    const box = width + onLeft + onRight;
    const x = (pixels: number) => `${Math.round((pixels / box) * 1e4) / 100}%`;
    const topLeft = onLeft + lean * onLeft;
    const bottomLeft = onLeft - lean * onLeft;
    const topRight = box - onRight + lean * onRight;
    const bottomRight = box - onRight - lean * onRight;
    panels.push({
      index,
      left: at - onLeft,
      width: box,
      shape: `polygon(${x(topLeft)} 0%, ${x(topRight)} 0%, ${x(bottomRight)} 100%, ${x(bottomLeft)} 100%)`,
    });
    at += width + format.gap;
  }
  return panels;
}

function firstWhere<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && holds(item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
