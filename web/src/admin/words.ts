/** Words, numbers and moments as administrators read them. Pure. */

const MINUTE = 60_000;
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 24 * 60 * MINUTE],
  ["hour", 60 * MINUTE],
  ["minute", MINUTE],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const whole = new Intl.NumberFormat("en");

/** "3 min. ago". What is younger than a minute, or a little in the future because clocks differ, is just now. */
export function ago(moment: number, now: number): string {
  for (const [unit, length] of UNITS) {
    const count = Math.floor((now - moment) / length);
    if (count >= 1) return relative.format(-count, unit);
  }
  return "just now";
}

/** "1 h 5 min": how long something has lasted. */
export function lasting(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / MINUTE);
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** "18 ms", "1.4 s": how long something took that should be quick. */
export function latency(milliseconds: number): string {
  return milliseconds < 999.5 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}

/** "182 MB". */
export function bytes(size: number): string {
  return size < 1e9 ? `${Math.round(size / 1e6)} MB` : `${(size / 1e9).toFixed(1)} GB`;
}

export function exactly(moment: number): string {
  return absolute.format(moment);
}

export function count(value: number, atMost = Infinity): string {
  return value >= atMost ? `${whole.format(atMost)}+` : whole.format(value);
}

export function money(cents: number, currency = "usd"): string {
  return new Intl.NumberFormat("en", { style: "currency", currency }).format(cents / 100);
}

/** What one of several costs: "1.2\u00a2", where a price in whole cents would say too little. */
export function each(cents: number, pieces: number): string {
  const one = cents / pieces;
  return one < 10 ? `${one.toFixed(1)}\u00a2` : money(one);
}

/** Cents out of what somebody typed as dollars; null when it is no amount. */
export function centsOf(text: string): number | null {
  const match = /^\s*\$?\s*(\d{1,6})(?:\.(\d{1,2}))?\s*$/.exec(text);
  if (!match) return null;
  return Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
}

export function dollars(cents: number): string {
  return (cents / 100).toFixed(2);
}

/** A whole number within bounds out of what somebody typed; null when it is none. */
export function wholeOf(text: string, least: number, most: number): number | null {
  if (!/^\s*[+-]?\d{1,9}\s*$/.test(text)) return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
}

export function signed(amount: number): string {
  return amount > 0 ? `+${whole.format(amount)}` : whole.format(amount).replace("-", "\u2212");
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const DEEDS: Record<string, string> = {
  "admin.granted": "made an administrator of",
  "admin.revoked": "took the administrator's role from",
  "billing.changed": "changed the billing settings",
  "credits.adjusted": "adjusted the credits of",
  "image.approved": "approved",
  "image.deleted": "deleted",
  "image.disabled": "disabled",
  "image.enabled": "enabled",
  "image.rejected": "rejected",
  "images.normalized": "tidied old flags of",
  "job.retried": "had work tried again:",
  "moderation.changed": "turned",
  "order.assigned": "assigned the order",
};

/** What the audit log's action says in a sentence; an action of tomorrow is shown as it is. */
export function deed(action: string): string {
  return DEEDS[action] ?? action;
}

/** The reason as it was written; of the billing settings, which are kept as a document, what they were set to. */
export function why(action: string, reason: string): string {
  if (action !== "billing.changed") return reason;
  try {
    const { packPriceCents, creditsPerPack, freeTrialCredits, refundOnFailure } = JSON.parse(reason);
    const failed = refundOnFailure ? "failures give their credit back" : "failures keep their credit";
    return `${money(packPriceCents)} for ${plural(creditsPerPack, "credit")}, ${count(freeTrialCredits)} for newcomers, ${failed}`;
  } catch {
    return reason;
  }
}

const WORK: Record<string, string> = {
  generate_image: "Drawing a photo",
  erase_file: "Erasing a file",
  erase_member: "Erasing a member who left",
  create_checkout: "Opening a payment page",
  reconcile_orders: "Comparing orders with Polar",
  sweep_files: "Sweeping files",
  audit_ledger: "Auditing the ledger",
  prune_jobs: "Forgetting old work",
};

export function work(kind: string): string {
  return WORK[kind] ?? kind;
}

const PARKED: Record<string, string> = {
  amount_mismatch: "The amount is not what was offered",
  buyer_left: "The buyer has deleted their account",
  buyer_unknown: "Nobody knows the buyer",
  not_a_purchase: "It is not a purchase of credits",
  pack_unknown: "It is of a pack that is not ours",
};

export function parkedBecause(reason: string): string {
  return PARKED[reason] ?? reason;
}
