/** The review queue's moves and keys. Pure. */

export type Deed = "next" | "before" | "approve" | "reject" | "disable" | "enable" | "open" | "keys";

export const KEYS: { key: string; also?: string; deed: Deed; says: string }[] = [
  { key: "j", also: "ArrowDown", deed: "next", says: "The next picture" },
  { key: "k", also: "ArrowUp", deed: "before", says: "The one before" },
  { key: "a", deed: "approve", says: "Approve it" },
  { key: "r", deed: "reject", says: "Reject it, with a reason" },
  { key: "d", deed: "disable", says: "Disable it, with a reason" },
  { key: "e", deed: "enable", says: "Enable it again" },
  { key: "o", deed: "open", says: "Open it as its owner shares it" },
  { key: "?", deed: "keys", says: "These keys" },
];

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey">;

/** What a key means here; nothing while somebody writes, or where the browser or the system has its own use for it. */
export function deedOf(pressed: Pressed, isWriting: boolean): Deed | null {
  if (isWriting || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return null;
  const key = pressed.key.length === 1 ? pressed.key.toLowerCase() : pressed.key;
  return KEYS.find((each) => each.key === key || each.also === key)?.deed ?? null;
}

/** One step along the queue; at its ends it stays. */
export function stepped(ids: readonly string[], selected: string | null, by: 1 | -1): string | null {
  const at = selected === null ? -1 : ids.indexOf(selected);
  if (at < 0) return ids[0] ?? null;
  return ids[Math.min(Math.max(at + by, 0), ids.length - 1)] ?? null;
}

/**
 * Who is selected when the queue changed under somebody's hands: the same picture while it is there, else the one that
 * followed it, else the one before. What comes in new does not move anybody.
 */
export function carried(before: readonly string[], after: readonly string[], selected: string | null): string | null {
  if (selected !== null && after.includes(selected)) return selected;
  const at = selected === null ? -1 : before.indexOf(selected);
  if (at < 0) return after[0] ?? null;
  const left = new Set(after);
  const following = before.slice(at + 1).find((id) => left.has(id));
  return following ?? before.slice(0, at).findLast((id) => left.has(id)) ?? after[0] ?? null;
}
