import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import "./menu.css";

type MenuProps = {
  /** The button's content, and what it is called. */
  trigger: ReactNode;
  label: string;
  /** MenuItems. */
  children: ReactNode;
  testid?: string;
};

/** A button that opens a short list of things to do; arrows move, Escape and a choice close it. */
export function Menu({ trigger, label, children, testid }: MenuProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const items = () => [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  useEffect(() => {
    if (!open) return;
    items()[0]?.focus();
    const outside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  function steer(event: React.KeyboardEvent) {
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") {
      setOpen(false);
      if (event.key === "Escape") button.current?.focus();
    }
    if (to === undefined) return;
    event.preventDefault();
    all[to % all.length]?.focus();
  }
  return (
    <div className="menu" ref={root}>
      <button
        ref={button}
        type="button"
        className="menu-trigger"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        data-testid={testid}
        onClick={() => setOpen(!open)}
      >
        <span className="unseen">{label}: </span>
        {trigger}
      </button>
      {open && (
        <div
          id={id}
          className="menu-list"
          role="menu"
          aria-label={label}
          onKeyDown={steer}
          onClick={(event) => {
            if (!(event.target as HTMLElement).closest("[role=menuitem]")) return;
            setOpen(false);
            button.current?.focus();
          }}
        >
          {children}
        </div>
      )}
    </div>
  );
}

type MenuItemProps = { children: ReactNode; testid?: string } & ({ onSelect: () => void } | { href: string; onSelect?: never });

export function MenuItem({ children, testid, ...act }: MenuItemProps) {
  if ("href" in act) {
    return <a className="menu-item" role="menuitem" tabIndex={-1} href={act.href} data-testid={testid}>{children}</a>;
  }
  return (
    <button className="menu-item" type="button" role="menuitem" tabIndex={-1} onClick={act.onSelect} data-testid={testid}>
      {children}
    </button>
  );
}
