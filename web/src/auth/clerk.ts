import { useCallback, useEffect, useMemo, useState } from "react";
import type { Session } from "./session";

/** The part of ClerkJS that we use, as Clerk documents it. */
type ClerkUser = { id: string; firstName: string | null; username: string | null; fullName: string | null };
type Clerk = {
  load: () => Promise<void>;
  user?: ClerkUser | null;
  session?: { getToken: (options: { template: string; skipCache?: boolean }) => Promise<string | null> } | null;
  openSignIn: () => void;
  signOut: () => Promise<void>;
  addListener: (listener: () => void) => () => void;
};
declare global {
  interface Window {
    Clerk?: Clerk;
  }
}

const TEMPLATE = "convex";

/** A publishable key carries its instance's domain: `pk_test_` and base64 of `domain$`. */
export function clerkDomain(publishableKey: string): string {
  return atob(publishableKey.split("_")[2] ?? "").replace(/\$$/, "");
}

let loading: Promise<Clerk> | null = null;

function loadClerk(publishableKey: string): Promise<Clerk> {
  loading ??= new Promise<void>((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `https://${clerkDomain(publishableKey)}/npm/@clerk/clerk-js@5/dist/clerk.browser.js`;
    script.async = true;
    script.crossOrigin = "anonymous";
    script.dataset["clerkPublishableKey"] = publishableKey;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error("The sign-in service could not be reached."));
    document.head.append(script);
  }).then(async () => {
    const clerk = window.Clerk;
    if (!clerk) throw new Error("The sign-in service could not be started.");
    await clerk.load();
    return clerk;
  });
  return loading;
}

/** Clerk's hosted script, loaded from the instance's own domain: nothing of it is in our bundle. */
export function useClerkSession(publishableKey: string): Session {
  const [clerk, setClerk] = useState<Clerk | null>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  const [user, setUser] = useState<ClerkUser | null>(null);
  useEffect(() => {
    let leave = () => {};
    let gone = false;
    loadClerk(publishableKey).then((ready) => {
      if (gone) return;
      setClerk(ready);
      const look = () => setUser(ready.user ?? null);
      look();
      leave = ready.addListener(look);
    }, (error: Error) => !gone && setProblem(error));
    return () => {
      gone = true;
      leave();
    };
  }, [publishableKey]);
  const signIn = useCallback(async () => {
    if (problem) throw problem;
    clerk?.openSignIn();
  }, [clerk, problem]);
  const signOut = useCallback(async () => clerk?.signOut(), [clerk]);
  const subject = user?.id ?? null;
  const fetchToken = useCallback(
    async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
      // A new member needs a new fetcher: that is how the connection hears of the change.
      if (subject === null) return null;
      try {
        return (await clerk?.session?.getToken({ template: TEMPLATE, skipCache: forceRefreshToken })) ?? null;
      } catch {
        return null;
      }
    },
    [clerk, subject],
  );
  const name = user ? (user.firstName ?? user.username ?? user.fullName ?? "you") : null;
  return useMemo(
    () => ({ isLoading: !clerk && !problem, isSignedIn: subject !== null, subject, name, asks: "elsewhere", signIn, signOut, fetchToken }),
    [clerk, problem, subject, name, signIn, signOut, fetchToken],
  );
}
