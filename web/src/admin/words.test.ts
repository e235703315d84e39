import { expect, test } from "vitest";
import { ago, bytes, centsOf, count, deed, dollars, each, lasting, latency, money, plural, signed, wholeOf, why } from "./words";

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

test("moments are as far away as they are", () => {
  expect([0, 30_000, -5 * MINUTE].map((age) => ago(NOW - age, NOW))).toEqual(["just now", "just now", "just now"]);
  expect(ago(NOW - 3.9 * MINUTE, NOW)).toMatch(/^3 min/);
  expect(ago(NOW - 60 * MINUTE, NOW)).toMatch(/^1 hr/);
  expect(ago(NOW - 24 * 60 * MINUTE, NOW)).toBe("yesterday");
  expect([0, 5 * MINUTE, 60 * MINUTE, 65 * MINUTE, 50 * 60 * MINUTE].map(lasting)).toEqual(["under a minute", "5 min", "1 h", "1 h 5 min", "2 days"]);
});

test("what is quick and what is large are said shortly", () => {
  expect([0.4, 17.6, 999.4, 999.6, 1_449].map(latency)).toEqual(["0 ms", "18 ms", "999 ms", "1.0 s", "1.4 s"]);
  expect([181_900_000, 1_250_000_000].map(bytes)).toEqual(["182 MB", "1.3 GB"]);
});

test("amounts go in and out unchanged", () => {
  expect(["5", "5.0", " $4.99 ", "0.50", "12.3"].map(centsOf)).toEqual([500, 500, 499, 50, 1230]);
  expect(["", "-5", "5.001", "1e3", "five", "5,00"].map(centsOf)).toEqual([null, null, null, null, null, null]);
  for (const cents of [50, 499, 500, 1_000_000]) expect(centsOf(dollars(cents))).toBe(cents);
  expect(money(499)).toBe("$4.99");
  expect([each(500, 420), each(5_000, 10)]).toEqual(["1.2\u00a2", "$5.00"]);
});

test("numbers are whole and within bounds", () => {
  expect([" 12 ", "-3", "+4"].map((text) => wholeOf(text, -10, 12))).toEqual([12, -3, 4]);
  expect(["13", "1.5", "", "0x1", "1e1"].map((text) => wholeOf(text, -10, 12))).toEqual([null, null, null, null, null]);
  expect([3, -3, 0].map(signed)).toEqual(["+3", "\u22123", "0"]);
  expect([plural(1, "credit"), plural(2_000, "credit")]).toEqual(["1 credit", "2,000 credits"]);
  expect([count(9_999, 10_000), count(10_000, 10_000)]).toEqual(["9,999", "10,000+"]);
});

test("an action of tomorrow is shown as it is", () => {
  expect(deed("image.rejected")).toBe("rejected");
  expect(deed("image.painted")).toBe("image.painted");
  expect(why("image.rejected", "{not json")).toBe("{not json");
  expect(why("billing.changed", "{not json")).toBe("{not json");
  const settings = { packPriceCents: 490, creditsPerPack: 420, freeTrialCredits: 10, refundOnFailure: false };
  expect(why("billing.changed", JSON.stringify(settings))).toBe("$4.90 for 420 credits, 10 for newcomers, failures keep their credit");
});
