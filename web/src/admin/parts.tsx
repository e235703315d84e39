import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Button, Dialog, EmptyState, Spinner, useToast } from "../design";
import { sentence } from "../app/errors";
import { ago, exactly } from "./words";

const TICK_MS = 20_000;

/** The head of a room: its name, what it is for, and what belongs beside it. */
export function RoomHead({ title, says, children }: { title: string; says?: ReactNode; children?: ReactNode }) {
  return (
    <header className="admin-head">
      <div>
        <h1>{title}</h1>
        {says && <p>{says}</p>}
      </div>
      {children && <div className="admin-head-end">{children}</div>}
    </header>
  );
}

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** One clock for all moments that are shown, so that they turn together. */
function useNow() {
  return useSyncExternalStore(subscribe, () => now);
}

/** How long ago; under the pointer, exactly when. */
export function Moment({ at }: { at: number }) {
  return <time dateTime={new Date(at).toISOString()} title={exactly(at)}>{ago(at, useNow())}</time>;
}

/** Something with a long name that is copied rather than read. */
export function Ident({ children }: { children: string }) {
  return <code className="admin-ident" title={children}>{children}</code>;
}

type Paginated<T> = { results: T[]; status: "LoadingFirstPage" | "CanLoadMore" | "LoadingMore" | "Exhausted"; loadMore: (count: number) => void };

const MORE = 25;

/** A live list of any length: its rows, what is said when there are none, and a way to the next ones. */
export function Listing<T>({ paginated, empty, children }: { paginated: Paginated<T>; empty: ReactNode; children: (rows: T[]) => ReactNode }) {
  const { results, status, loadMore } = paginated;
  if (status === "LoadingFirstPage") return <Spinner label="Loading" size={28} />;
  if (results.length === 0 && status === "Exhausted") return empty;
  return (
    <>
      {children(results)}
      {status !== "Exhausted" && (
        <p className="admin-more"><Button busy={status === "LoadingMore"} onClick={() => loadMore(MORE)}>Show more</Button></p>
      )}
    </>
  );
}

/** What an empty list says when that is good news. */
export function AllWell({ title, children }: { title: string; children?: ReactNode }) {
  return <EmptyState title={title}>{children}</EmptyState>;
}

/** Runs a deed, one at a time; what stops it is said as a toast. Resolves to whether it was done. */
export function useDeed() {
  const { say } = useToast();
  const [busy, setBusy] = useState(false);
  async function run(deed: () => Promise<unknown>, done?: string): Promise<boolean> {
    if (busy) return false;
    setBusy(true);
    try {
      await deed();
      if (done) say(done);
      return true;
    } catch (error) {
      say({ kind: "problem", text: sentence(error) });
      return false;
    } finally {
      setBusy(false);
    }
  }
  return { busy, run };
}

const MAX_REASON = 500;

type Ask = {
  title: string;
  says: ReactNode;
  verb: string;
  /** Reasons that are often meant; a press fills one in. */
  often?: string[];
  danger?: boolean;
  children?: ReactNode;
  onClose: () => void;
  /** Resolves to whether it was done; the dialog closes then. */
  onGiven: (reason: string) => Promise<boolean>;
};

/** Asks for the reason of a deed. The person concerned will read it, so it may not be empty. */
export function ReasonDialog({ title, says, verb, often = [], danger = false, children, onClose, onGiven }: Ask) {
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => setProblem(null), [reason]);
  // The dialog's own first choice is its close button; whoever opened it came to write.
  useEffect(() => form.current?.querySelector<HTMLElement>("input, textarea")?.focus(), []);
  async function submit() {
    if (reason.trim() === "") return setProblem("Say why, in a sentence.");
    setBusy(true);
    if (await onGiven(reason.trim())) onClose();
    else setBusy(false);
  }
  return (
    <Dialog title={title} onClose={onClose} testid="reason-dialog">
      <form
        ref={form}
        className="admin-ask"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p>{says}</p>
        {children}
        {often.length > 0 && (
          <div className="admin-often" role="group" aria-label="Often meant">
            {often.map((each) => <Button key={each} size="s" onClick={() => setReason(each)}>{each}</Button>)}
          </div>
        )}
        <div className="field">
          <label htmlFor="reason">Reason</label>
          <textarea
            id="reason"
            className="input"
            rows={3}
            maxLength={MAX_REASON}
            value={reason}
            aria-invalid={problem ? true : undefined}
            aria-describedby={problem ? "reason-problem" : undefined}
            data-testid="reason"
            onChange={(event) => setReason(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
                event.preventDefault();
                void submit();
              }
            }}
          />
          {problem && <p id="reason-problem" className="field-problem" role="alert">{problem}</p>}
        </div>
        <div className="admin-ask-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look={danger ? "danger" : "hot"} busy={busy} data-testid="reason-given">{verb}</Button>
        </div>
      </form>
    </Dialog>
  );
}
