import { expect, test } from "vitest";
import { fromNow } from "./time";

test("times are told as people tell them, both ways", () => {
  const now = Date.UTC(2026, 10, 27, 12);
  const told = [0, -59_000, 30_000, -60_000, -3.9 * 3_600_000, 47 * 3_600_000, -3 * 86_400_000].map((away) => fromNow(now + away, now));
  expect(told).toEqual(["just now", "just now", "in less than a minute", "1 minute ago", "3 hours ago", "tomorrow", "3 days ago"]);
  expect(fromNow(now - 400 * 86_400_000, now)).toContain("2025");
});
