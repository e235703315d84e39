import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { Session } from "./session";

const SUBJECT_KEY = "anime-leak.subject";
const TOKEN_DEADLINE_MS = 10_000;
const changed = "anime-leak:subject";

/** Why the development issuer will not sign somebody in, in words for them. */
export class SignInRefused extends Error {}

async function requestToken(subject: string): Promise<string> {
  const response = await fetch("/dev/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ subject }),
    signal: AbortSignal.timeout(TOKEN_DEADLINE_MS),
  });
  if (response.ok) return ((await response.json()) as { token: string }).token;
  if (response.status === 404) throw new SignInRefused("This server does not offer one-click sign-in.");
  if (response.status < 500) throw new SignInRefused("That name was refused. Try another one.");
  throw new Error("The server could not sign you in just now.");
}

function subscribe(listener: () => void) {
  // `storage` is how the other tabs of this browser hear of it.
  addEventListener("storage", listener);
  addEventListener(changed, listener);
  return () => {
    removeEventListener("storage", listener);
    removeEventListener(changed, listener);
  };
}

function remember(subject: string | null) {
  if (subject === null) localStorage.removeItem(SUBJECT_KEY);
  else localStorage.setItem(SUBJECT_KEY, subject);
  dispatchEvent(new Event(changed));
}

/** The development issuer: a name is the whole account. Remembered in this browser, in all its tabs. */
export function useDevelopmentSession(): Session {
  const subject = useSyncExternalStore(subscribe, () => localStorage.getItem(SUBJECT_KEY));
  const signIn = useCallback(async (name = "") => {
    await requestToken(name);
    remember(name);
  }, []);
  const signOut = useCallback(async () => remember(null), []);
  const fetchToken = useCallback(async () => {
    if (subject === null) return null;
    try {
      return await requestToken(subject);
    } catch (error) {
      if (error instanceof SignInRefused) remember(null);
      return null;
    }
  }, [subject]);
  return useMemo(
    () => ({ isLoading: false, isSignedIn: subject !== null, subject, name: subject, asks: "name", signIn, signOut, fetchToken }),
    [subject, signIn, signOut, fetchToken],
  );
}
