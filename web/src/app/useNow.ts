import { useEffect, useState } from "react";
import { WORDS_HOLD_MS } from "./time";

/** The time, often enough for words like "3 minutes ago" to stay true. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), WORDS_HOLD_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
