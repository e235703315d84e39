import { type ConvexReactClient, ConvexProviderWithAuth } from "convex/react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { readConfig, type SiteConfig } from "../app/config";
import { useClerkSession } from "./clerk";
import { useDevelopmentSession } from "./development";
import { keepToken } from "./lastToken";
import { type Session, SessionContext, useSession } from "./session";

const RETRY_MS = 2_000;

/**
 * Puts whoever signed in behind the live connection. Until the server said how to sign in, everybody is loading; what
 * is drawn meanwhile stays when it does, because whoever knows the session stands beside it, not around it.
 */
export function AuthProvider({ client, children }: { client: ConvexReactClient; children: ReactNode }) {
  const config = useSiteConfig();
  const [session, setSession] = useState<Session>(UNKNOWN);
  const clerkKey = config?.clerkPublishableKey ?? null;
  return (
    <SessionContext value={session}>
      {config && (clerkKey !== null ? <FromClerk publishableKey={clerkKey} tell={setSession} /> : <FromDevelopment tell={setSession} />)}
      <ConvexProviderWithAuth client={client} useAuth={useConvexIdentity}>
        {children}
      </ConvexProviderWithAuth>
    </SessionContext>
  );
}

const UNKNOWN: Session = {
  isLoading: true,
  isSignedIn: false,
  subject: null,
  name: null,
  asks: "name",
  signIn: () => Promise.reject(new Error("Still connecting. Try again in a moment.")),
  signOut: () => Promise.resolve(),
  fetchToken: () => Promise.resolve(null),
};

type Tell = (session: Session) => void;

function FromClerk({ publishableKey, tell }: { publishableKey: string; tell: Tell }) {
  const session = useClerkSession(publishableKey);
  useEffect(() => tell(session), [session, tell]);
  return null;
}

function FromDevelopment({ tell }: { tell: Tell }) {
  const session = useDevelopmentSession();
  useEffect(() => tell(session), [session, tell]);
  return null;
}

function useConvexIdentity() {
  const { isLoading, isSignedIn, fetchToken } = useSession();
  return useMemo(
    () => ({
      isLoading,
      isAuthenticated: isSignedIn,
      fetchAccessToken: async (options: { forceRefreshToken: boolean }) => keepToken(await fetchToken(options)),
    }),
    [isLoading, isSignedIn, fetchToken],
  );
}

function useSiteConfig(): SiteConfig | null {
  const [config, setConfig] = useState<SiteConfig | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const ask = () => {
      readConfig().then(setConfig, () => {
        timer = setTimeout(ask, RETRY_MS);
      });
    };
    ask();
    return () => clearTimeout(timer);
  }, []);
  return config;
}
