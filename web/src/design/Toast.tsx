import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from "react";
import { Button, IconButton } from "./Button";
import "./toast.css";

const STAYS_MS = 7_000;
const AT_MOST = 4;

export type ToastContent = {
  text: string;
  kind?: "plain" | "problem";
  /** One thing that can be done about it while it shows. */
  action?: { label: string; onPress: () => void };
  /** Milliseconds; 0 stays until it is dismissed. */
  staysMs?: number;
};
type Shown = ToastContent & { id: number };
type Toasts = {
  /** Returns a function that takes the toast away. */
  say: (toast: ToastContent | string) => () => void;
};

const ToastContext = createContext<Toasts | null>(null);

export function useToast(): Toasts {
  const toasts = useContext(ToastContext);
  if (!toasts) throw new Error("useToast needs a ToastProvider around it.");
  return toasts;
}

/** Passing words in the corner, spoken by screen readers without interrupting. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Shown[]>([]);
  const next = useRef(1);
  const drop = useCallback((id: number) => setShown((all) => all.filter((toast) => toast.id !== id)), []);
  const say = useCallback(
    (toast: ToastContent | string) => {
      const content = typeof toast === "string" ? { text: toast } : toast;
      const id = next.current++;
      // The same words twice are one toast.
      setShown((all) => [...all.filter(({ text }) => text !== content.text), { ...content, id }].slice(-AT_MOST));
      const staysMs = content.staysMs ?? STAYS_MS;
      if (staysMs > 0) setTimeout(() => drop(id), staysMs);
      return () => drop(id);
    },
    [drop],
  );
  const toasts = useMemo(() => ({ say }), [say]);
  return (
    <ToastContext value={toasts}>
      {children}
      <div className="toasts" role="status" aria-live="polite" data-testid="toasts" popover="manual" ref={keepOnTop(shown.length)}>
        {shown.map(({ id, text, kind = "plain", action }) => (
          <div key={id} className={`toast toast-${kind}`} data-testid="toast" data-kind={kind}>
            <p>{text}</p>
            {action && (
              <Button
                size="s"
                look="hot"
                onClick={() => {
                  action.onPress();
                  drop(id);
                }}
              >
                {action.label}
              </Button>
            )}
            <IconButton label="Dismiss" icon="close" size={16} onClick={() => drop(id)} />
          </div>
        ))}
      </div>
    </ToastContext>
  );
}

/** A popover that is shown anew lies above a dialog that was opened meanwhile. */
function keepOnTop(count: number) {
  return (board: HTMLDivElement | null) => {
    if (!board?.showPopover) return;
    if (board.matches(":popover-open")) board.hidePopover();
    if (count > 0) board.showPopover();
  };
}
