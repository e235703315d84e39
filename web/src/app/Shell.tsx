import { Authenticated } from "convex/react";
import type { ReactNode } from "react";
import { useSession } from "../auth/session";
import { Button } from "../design";
import { AccountMenu } from "./AccountMenu";
import { ConnectionBanner } from "./ConnectionBanner";
import { usePath } from "./router";
import { Wordmark } from "./Wordmark";
import "./shell.css";

/** The head and foot around every page. */
export function Shell({ children, corner }: { children: ReactNode; /** Beside the account, for instance the balance. */ corner?: ReactNode }) {
  const path = usePath();
  const { isSignedIn, isLoading, asks, signIn } = useSession();
  const here = (to: string) => (path === to ? "page" : undefined);
  return (
    <>
      <a className="skip" href="#main">Skip to the content</a>
      <header className="head" data-tight={isSignedIn || path !== "/"}>
        <a className="head-mark" href="/" aria-label="Anime Leak, home"><Wordmark /></a>
        <nav className="head-nav" aria-label="Main">
          <a href="/" aria-current={here("/")}>{isSignedIn ? "Studio" : "Home"}</a>
          <a href="/gallery" aria-current={here("/gallery")}>Gallery</a>
        </nav>
        <div className="head-end">
          <Authenticated>{corner}</Authenticated>
          {isSignedIn ? (
            <AccountMenu />
          ) : (
            !isLoading && (asks === "elsewhere"
              ? <Button size="s" look="solid" onClick={() => signIn()}>Sign in</Button>
              : path !== "/" && <a className="button button-solid button-s" href="/">Sign in</a>)
          )}
        </div>
      </header>
      <ConnectionBanner />
      <main id="main" tabIndex={-1}>{children}</main>
    </>
  );
}
