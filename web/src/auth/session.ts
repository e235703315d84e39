import { createContext, useContext } from "react";

/**
 * Who is in front of the page. This is the seam: the development issuer and Clerk both fill it, and nothing else in
 * the page knows which of them does.
 */
export type Session = {
  isLoading: boolean;
  isSignedIn: boolean;
  /** The id that the server knows the member by; null for a visitor. */
  subject: string | null;
  /** What to call the member. */
  name: string | null;
  /** Does signing in ask for a name here (`name`), or elsewhere (`elsewhere`)? */
  asks: "name" | "elsewhere";
  /** Resolves once signed in, or once the issuer's own window is open. Rejects with a sentence. */
  signIn: (name?: string) => Promise<void>;
  signOut: () => Promise<void>;
  /** A token for the server, or null when there is none to be had. */
  fetchToken: (options: { forceRefreshToken: boolean }) => Promise<string | null>;
};

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession needs an AuthProvider around it.");
  return session;
}
