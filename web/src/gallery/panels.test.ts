import { expect, test } from "vitest";
import { formatFor, heightOf, layOut, ratioOf, rowsWithin } from "./panels";

const SHAPES = [0.75, 1.33, 1, 1.78, 0.6, 2.2, 1.5];
const many = Array.from({ length: 5_000 }, (_, index) => SHAPES[index % SHAPES.length] ?? 1);

test("every picture has its place once, in order, at every width", () => {
  for (const width of [360, 820, 1440]) {
    const rows = layOut(many, formatFor(width));
    expect(rows.flatMap(({ panels }) => panels.map(({ index }) => index))).toEqual(many.map((_, index) => index));
  }
});

test("full rows reach from edge to edge, and no row is far from the height that was asked for", () => {
  for (const width of [360, 820, 1440]) {
    const format = formatFor(width);
    for (const { panels, height } of layOut(many, format).slice(0, -1)) {
      const last = panels.at(-1);
      expect(panels[0]?.left).toBe(0);
      expect((last?.left ?? 0) + (last?.width ?? 0)).toBeCloseTo(width, 3);
      expect(height / format.target).toBeGreaterThan(0.5);
      expect(height / format.target).toBeLessThan(2.2);
    }
  }
});

test("a short last row keeps the usual height instead of filling the window with one picture", () => {
  const format = formatFor(1200);
  const [row] = layOut([1], format);
  expect(row?.height).toBeLessThan(format.target * 1.2);
  expect(layOut([], format)).toEqual([]);
  expect(heightOf([])).toBe(0);
});

test("what is looked for in a window are the rows that touch it, no more", () => {
  const rows = layOut(many, formatFor(1000));
  const [first, end] = rowsWithin(rows, 20_000, 21_000);
  const seen = rows.slice(first, end);
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.length).toBeLessThan(10);
  expect(seen.every(({ top, height }) => top + height >= 20_000 && top <= 21_000)).toBe(true);
  expect(rowsWithin(rows, -500, -10)).toEqual([0, 0]);
  expect(rowsWithin(rows, heightOf(rows) + 10, heightOf(rows) + 99)).toEqual([rows.length, rows.length]);
});

test("shapes are bounded, and a picture of unknown size is a square", () => {
  expect([ratioOf(9000, 10), ratioOf(10, 9000), ratioOf(undefined, undefined), ratioOf(0, 0)]).toEqual([2.2, 0.6, 1, 1]);
});
