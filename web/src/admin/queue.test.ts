import { expect, test } from "vitest";
import { carried, deedOf, KEYS, stepped } from "./queue";

const press = (key: string, more = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...more });

test("every key means one thing, in either case", () => {
  const names = KEYS.flatMap(({ key, also }) => [key, ...(also ? [also] : [])]);
  expect(new Set(names).size).toBe(names.length);
  for (const { key, deed } of KEYS) expect([deedOf(press(key), false), deedOf(press(key.toUpperCase()), false)]).toEqual([deed, deed]);
  expect(deedOf(press("ArrowDown"), false)).toBe("next");
  expect(deedOf(press("x"), false)).toBeNull();
});

test("keys are left to whoever writes and to the browser", () => {
  expect(deedOf(press("a"), true)).toBeNull();
  for (const more of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }]) expect(deedOf(press("r", more), false)).toBeNull();
});

test("a step stays in the queue", () => {
  expect(stepped(["a", "b"], null, 1)).toBe("a");
  expect(stepped(["a", "b"], "gone", -1)).toBe("a");
  expect(stepped(["a", "b"], "a", 1)).toBe("b");
  expect(stepped(["a", "b"], "b", 1)).toBe("b");
  expect(stepped(["a", "b"], "a", -1)).toBe("a");
  expect(stepped([], "a", 1)).toBeNull();
});

test("the queue changes under one's hands", () => {
  expect(carried(["a", "b", "c"], ["x", "a", "b", "c"], "b")).toBe("b");
  expect(carried(["a", "b", "c"], ["a", "c"], "b")).toBe("c");
  expect(carried(["a", "b", "c"], ["a"], "b")).toBe("a");
  expect(carried(["a", "b", "c"], ["x", "a"], "c")).toBe("a");
  expect(carried(["a"], ["x", "y"], "a")).toBe("x");
  expect(carried([], ["a"], null)).toBe("a");
  expect(carried(["a"], [], "a")).toBeNull();
});
