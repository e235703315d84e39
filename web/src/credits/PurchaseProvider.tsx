import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { useSession } from "../auth/session";
import { PurchaseModal } from "./PurchaseModal";
import { type Purchase, usePurchaseOf } from "./usePurchase";

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
  return <ForMember key={subject}>{children}</ForMember>;
}

function ForMember({ children }: { children: ReactNode }) {
  const [isOpen, setOpen] = useState(false);
  const purchase: Purchase = usePurchaseOf();
  const open = useCallback(() => setOpen(true), []);
  const close = useCallback(() => setOpen(false), []);
  const value = useMemo(() => ({ isOpen, open, close }), [isOpen, open, close]);
  return (
    <PurchaseContext value={value}>
      {children}
      {isOpen && <PurchaseModal purchase={purchase} onClose={close} />}
    </PurchaseContext>
  );
}
