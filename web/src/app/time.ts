const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric" });
const moment = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds until `after` should be read again to stay true. */
export const WORDS_HOLD_MS = MINUTE / 2;

/** "3 minutes ago", "in 2 days"; a date when it is more than a month away. */
export function fromNow(at: number, now: number): string {
  const away = at - now;
  const size = Math.abs(away);
  if (size < MINUTE) return away > 0 ? "in less than a minute" : "just now";
  if (size < HOUR) return relative.format(Math.trunc(away / MINUTE), "minute");
  if (size < DAY) return relative.format(Math.trunc(away / HOUR), "hour");
  if (size < 31 * DAY) return relative.format(Math.trunc(away / DAY), "day");
  return day.format(new Date(at));
}

export const onDate = (at: number): string => moment.format(new Date(at));

/** For what has happened: a clock that is a little behind must not put it into the future. */
export const ago = (at: number, now: number): string => fromNow(Math.min(at, now), now);
