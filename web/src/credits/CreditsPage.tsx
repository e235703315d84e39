import { useConvexAuth, useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { type ReactNode, useEffect, useState } from "react";
import { api } from "../_generated/api.js";
import { sentence } from "../app/errors";
import { useEnrolled } from "../app/Enrolment";
import { go } from "../app/router";
import { Drop } from "../app/Wordmark";
import { ago, onDate } from "../app/time";
import { useNow } from "../app/useNow";
import { useSession } from "../auth/session";
import { Button, Dialog, EmptyState, Spinner, TextField, useToast } from "../design";
import { SignIn } from "../public/SignIn";
import { usePurchase } from "./PurchaseProvider";
import { KINDS, PAYMENTS, price, signed } from "./wording";
import "./credits.css";

const PAGE = { initialNumItems: 20 };
const MORE = 40;
const RETURN_MARK = "checkout_id";

/** Balance, history, payments, and the way out. */
export default function CreditsPage() {
  const { isLoading } = useConvexAuth();
  const { isSignedIn } = useSession();
  const enrolled = useEnrolled();
  if (!isSignedIn && !isLoading) {
    return (
      <div className="page credits-page">
        <h1>Credits</h1>
        <SignIn why="Sign in to see your credits." />
      </div>
    );
  }
  if (!enrolled) return <div className="page"><Spinner label="Loading" size={32} /></div>;
  return <Ledger />;
}

function Ledger() {
  useReturnFromPayment();
  const now = useNow();
  const balance = useQuery(api.users.getCurrentUserCredits, {});
  const history = usePaginatedQuery(api.users.getCreditHistory, {}, PAGE);
  const payments = usePaginatedQuery(api.payments.getPaymentHistory, {}, PAGE);
  const { open } = usePurchase();
  return (
    <div className="page credits-page">
      <section className="balance" aria-labelledby="balance-title">
        <div className="balance-art" aria-hidden="true"><Drop size={64} /><Drop size={120} /><Drop size={84} /></div>
        <h1 id="balance-title">Credits</h1>
        <p className="balance-number" data-testid="balance">{balance?.credits ?? "…"}</p>
        <p>
          {balance?.credits === 0 ? "Your credits are used up. " : "One drawing costs one. "}
          A drawing that fails gives it back.
          {balance?.hasFreeTrial && balance.credits > 0 ? " Your first credits are on the house." : ""}
        </p>
        <Button look="hot" size="l" icon="plus" onClick={open} data-testid="get-credits">Get credits</Button>
      </section>
      <div className="books">
        <Book title="History" paged={history} testid="history" empty="Nothing has moved yet.">
          {history.results.map(({ kind, amount, createdAt, balanceAfter }, index) => (
            <Entry key={`${createdAt} ${kind} ${index}`} what={KINDS[kind]} amount={amount} at={createdAt} now={now} after={`${balanceAfter} left`} />
          ))}
        </Book>
        <Book title="Payments" paged={payments} testid="payments" empty="You have not bought anything yet.">
          {payments.results.map(({ orderId, status, amountCents, creditsGranted, createdAt }) => (
            <Entry key={orderId} what={`${PAYMENTS[status]} ${price(amountCents)}`} amount={creditsGranted} at={createdAt} now={now} after="credits" />
          ))}
        </Book>
      </div>
      <Leaving />
    </div>
  );
}

type Paged = { results: readonly unknown[]; status: "LoadingFirstPage" | "CanLoadMore" | "LoadingMore" | "Exhausted"; loadMore: (count: number) => void };

function Book({ title, paged, empty, testid, children }: { title: string; paged: Paged; empty: string; testid: string; children: ReactNode }) {
  return (
    <section className="book" data-testid={testid}>
      <h2>{title}</h2>
      {paged.status === "LoadingFirstPage" && <Spinner label="Loading" />}
      {paged.status === "Exhausted" && paged.results.length === 0 && <EmptyState title="A blank page"><p>{empty}</p></EmptyState>}
      <ol role="list">{children}</ol>
      {paged.status === "CanLoadMore" && <Button size="s" onClick={() => paged.loadMore(MORE)}>Show more</Button>}
      {paged.status === "LoadingMore" && <Spinner label="Loading" />}
    </section>
  );
}

function Entry({ what, amount, at, now, after }: { what: string; amount: number; at: number; now: number; after: string }) {
  return (
    <li className="entry" data-testid="entry">
      <span className="entry-what">{what}</span>
      <span className="entry-amount" data-sign={amount < 0 ? "minus" : "plus"}>{signed(amount)}</span>
      <time className="entry-when" dateTime={new Date(at).toISOString()} title={onDate(at)}>{ago(at, now)}</time>
      <span className="entry-after">{after}</span>
    </li>
  );
}

/** The payment page sends people back here; said once, and the mark leaves the address. */
function useReturnFromPayment() {
  const { say } = useToast();
  useEffect(() => {
    const address = new URL(location.href);
    if (!address.searchParams.has(RETURN_MARK)) return;
    address.searchParams.delete(RETURN_MARK);
    go(address.pathname + address.search, { replace: true });
    say("Back from the payment page. The credits arrive here by themselves.");
  }, [say]);
}

function Leaving() {
  const leave = useMutation(api.users.deleteMyAccount);
  const { signOut, name } = useSession();
  const { say } = useToast();
  const [asks, setAsks] = useState(false);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  async function go() {
    setBusy(true);
    try {
      await leave({});
      await signOut();
      say("Your account is being deleted. Goodbye, and thank you for the pictures.");
    } catch (error) {
      say({ text: sentence(error), kind: "problem" });
      setBusy(false);
    }
  }
  return (
    <section className="leaving">
      <h2>Leaving</h2>
      <p>Deletes your pictures, your files and what we know of you. Records of payments stay, because the law wants them.</p>
      <Button look="danger" onClick={() => setAsks(true)} data-testid="delete-account">Delete my account…</Button>
      {asks && (
        <Dialog title="Delete everything?" onClose={() => setAsks(false)}>
          <form
            className="asks"
            onSubmit={(event) => {
              event.preventDefault();
              if (typed === name) void go();
            }}
          >
            <p>All pictures and all credits of <strong>{name}</strong> go. This cannot be undone.</p>
            <TextField label={`Type ${name} to be sure`} value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
            <div className="asks-row">
              <Button onClick={() => setAsks(false)}>Keep it</Button>
              <Button look="danger" type="submit" disabled={typed !== name} busy={busy}>Delete everything</Button>
            </div>
          </form>
        </Dialog>
      )}
    </section>
  );
}
