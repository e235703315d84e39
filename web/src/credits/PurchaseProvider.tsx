import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { useSession } from "../auth/session";
import { PurchaseModal } from "./PurchaseModal";
import { usePurchaseOf } from "./usePurchase";

type Purchasing = { isOpen: boolean; open: () => void; close: () => void };

const PurchaseContext = createContext<Purchasing | null>(null);

export function usePurchase(): Purchasing {
  const purchase = useContext(PurchaseContext);
  if (!purchase) throw new Error("usePurchase needs a PurchaseProvider around it.");
  return purchase;
}

/** Buying credits, from wherever on the page: a purchase goes on while its window is closed. */
export function PurchaseProvider({ children }: { children: ReactNode }) {
  const { subject } = useSession();
  const [openFor, setOpenFor] = useState<string | null>(null);
  const purchase = usePurchaseOf(subject);
  const isOpen = openFor !== null && openFor === subject;
  const open = useCallback(() => setOpenFor(subject), [subject]);
  const close = useCallback(() => setOpenFor(null), []);
  const value = useMemo(() => ({ isOpen, open, close }), [isOpen, open, close]);
  return (
    <PurchaseContext value={value}>
      {children}
      {isOpen && <PurchaseModal purchase={purchase} onClose={close} />}
    </PurchaseContext>
  );
}
