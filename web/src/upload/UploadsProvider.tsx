import { useQuery } from "convex/react";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo } from "react";
import { api } from "../_generated/api.js";
import { useEnrolled } from "../app/Enrolment";
import { go, routeOf } from "../app/router";
import { useSession } from "../auth/session";
import { usePurchase } from "../credits/PurchaseProvider";
import { takeHeld } from "./held";
import { useIncoming } from "./useIncoming";
import { type UploadControls, useUploads } from "./useUploads";
import { DropVeil } from "./DropVeil";

type Taking = UploadControls & { take: (files: readonly File[]) => void };

const UploadsContext = createContext<Taking | null>(null);

/** Null for visitors. */
export function useTaking(): Taking | null {
  return useContext(UploadsContext);
}

/** Photos on their way go on whichever page the member looks at, and can be dropped on any of them. */
export function UploadsProvider({ children }: { children: ReactNode }) {
  const enrolled = useEnrolled();
  const { subject } = useSession();
  const controls = useUploads(subject);
  const { uploads, dispatch } = controls;
  const { isOpen, open } = usePurchase();
  const credits = useQuery(api.users.getCurrentUserCredits, enrolled ? {} : "skip")?.credits ?? null;

  useEffect(() => dispatch({ type: "creditsSeen", credits }), [dispatch, credits]);

  // The purchase has a window of its own, which other parts of the page open as well.
  const wantsPurchase = uploads.desk === "purchasing";
  useEffect(() => {
    if (wantsPurchase) open();
  }, [wantsPurchase, open]);
  useEffect(() => {
    if (!isOpen) dispatch({ type: "purchaseClosed" });
  }, [isOpen, dispatch]);

  const take = useCallback(
    (files: readonly File[]) => {
      if (files.length === 0) return;
      dispatch({ type: "filesTaken", files });
      if (routeOf(location.pathname).name !== "home") go("/");
    },
    [dispatch],
  );
  useEffect(() => {
    if (enrolled) take(takeHeld());
  }, [enrolled, take]);
  const isOver = useIncoming(take, !enrolled || uploads.desk === "capturing");
  useEffect(() => dispatch({ type: isOver ? "dragEntered" : "dragLeft" }), [dispatch, isOver]);

  const value = useMemo(
    () => (enrolled ? { uploads, dispatch, dismiss: controls.dismiss, take } : null),
    [enrolled, uploads, dispatch, controls.dismiss, take],
  );
  return (
    <UploadsContext value={value}>
      {children}
      {uploads.desk === "dragOver" && <DropVeil />}
    </UploadsContext>
  );
}
