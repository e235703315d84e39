import { type ReactNode, useEffect, useId, useRef } from "react";
import { IconButton } from "./Button";
import "./dialog.css";

type DialogProps = {
  /** What the dialog is called; shown unless `bare`. */
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** A `sheet` is a column of words, a `stage` fills the window. */
  shape?: "sheet" | "stage";
  /** Without a head of its own: the content brings a way to close. */
  bare?: boolean;
  className?: string;
  testid?: string;
};

/** A native modal dialog that is open as long as it is rendered; the focus goes back to where it came from. */
export function Dialog({ title, onClose, children, shape = "sheet", bare = false, className = "", testid }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    if (dialog && !dialog.open) dialog.showModal();
    const page = document.documentElement;
    if (!page.classList.contains("is-behind")) {
      page.style.setProperty("--scroll-bar", `${innerWidth - page.clientWidth}px`);
      page.classList.add("is-behind");
    }
    return () => {
      dialog?.close();
      if (!document.querySelector("dialog[open]")) page.classList.remove("is-behind");
      const back = before instanceof HTMLElement && before.isConnected ? before : document.getElementById("main");
      back?.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={ref}
      className={`dialog dialog-${shape} ${className}`}
      aria-labelledby={titleId}
      data-testid={testid}
      onCancel={(event) => {
        // Only this dialog's own Escape, not that of a file picker inside it.
        if (event.target !== event.currentTarget) return;
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      <div className="dialog-body">
        <div className={bare ? "unseen" : "dialog-head"}>
          <h2 id={titleId}>{title}</h2>
          {!bare && <IconButton label="Close" icon="close" onClick={onClose} data-testid="close" />}
        </div>
        {children}
      </div>
    </dialog>
  );
}
