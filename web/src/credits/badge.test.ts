import { expect, test } from "vitest";
import { creditBadgeState } from "./badge";

test("the badge changes at zero and after five, and only an empty one leads to buying", () => {
  const looks = [0, 1, 5, 6, 420].map(creditBadgeState);
  expect(looks.map(({ variant }) => variant)).toEqual(["destructive", "outline", "outline", "secondary", "secondary"]);
  expect(looks.map(({ isClickable }) => isClickable)).toEqual([true, false, false, false, false]);
  expect(looks[1]?.title).toContain("1 credit left");
});
