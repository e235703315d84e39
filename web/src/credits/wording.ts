import type { CreditMovement, PaymentView } from "../_generated/api.js";

export const KINDS: Record<CreditMovement["kind"], string> = {
  trial: "A welcome from us",
  spend: "A drawing",
  refund: "A failed drawing, given back",
  order: "Bought",
  order_refund: "A refunded purchase",
  adjustment: "Put right by us",
};

export const PAYMENTS: Record<PaymentView["status"], string> = {
  paid: "Paid",
  refunded: "Paid and refunded",
  failed: "Not paid",
};

const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });

export const price = (cents: number): string => dollars.format(cents / 100);

/** With a sign, and a minus that is as wide as the plus. */
export const signed = (amount: number): string => (amount < 0 ? `−${-amount}` : `+${amount}`);
