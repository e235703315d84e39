import { type ConvexReactClient, ConvexProviderWithAuth } from "convex/react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { readConfig, type SiteConfig } from "../app/config";
import { useClerkSession } from "./clerk";
import { keepToken } from "./lastToken";
import { useDevelopmentSession } from "./development";
import { type Session, SessionContext, useSession } from "./session";

const RETRY_MS = 2_000;

/** Puts whoever signed in behind the live connection. Until the server said how to sign in, everybody is loading. */
export function AuthProvider({ client, children }: { client: ConvexReactClient; children: ReactNode }) {
  const config = useSiteConfig();
  const inner = (
    <ConvexProviderWithAuth client={client} useAuth={useConvexIdentity}>
      {children}
    </ConvexProviderWithAuth>
  );
  if (config === null) return <SessionContext value={UNKNOWN}>{inner}</SessionContext>;
  if (config.clerkPublishableKey !== null) {
    return <WithClerk publishableKey={config.clerkPublishableKey}>{inner}</WithClerk>;
  }
  return <WithDevelopment>{inner}</WithDevelopment>;
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

function WithClerk({ publishableKey, children }: { publishableKey: string; children: ReactNode }) {
  return <SessionContext value={useClerkSession(publishableKey)}>{children}</SessionContext>;
}

function WithDevelopment({ children }: { children: ReactNode }) {
  return <SessionContext value={useDevelopmentSession()}>{children}</SessionContext>;
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
