import { useMutation, useQuery } from "convex/react";
import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../_generated/api.js";
import type { Id } from "../_generated/dataModel.js";
import { sentence } from "../app/errors";
import { useEnrolled } from "../app/Enrolment";

/** `open`: the payment page can be paid; what follows is only ever said from the server's live answer. */
export type Purchase = {
  state: "idle" | "preparing" | "open" | "completed" | "failed";
  /** The payment page. */
  url: string | null;
  problem: string | null;
  credits: number | null;
  start: () => void;
};

const NO_REASON = "The payment did not go through. Nothing was charged.";

/** One member's purchase; another member's begins anew. */
export function usePurchaseOf(subject: string | null): Purchase {
  const enrolled = useEnrolled();
  const initiate = useMutation(api.payments.initiateCheckout);
  const [sessionId, setSessionId] = useState<Id<"checkoutSessions"> | null>(null);
  const [asking, setAsking] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const session = useQuery(api.payments.getCheckoutSession, enrolled && sessionId ? { sessionId } : "skip");
  const balance = useQuery(api.users.getCurrentUserCredits, enrolled ? {} : "skip");
  const [whose, setWhose] = useState(subject);
  if (whose !== subject) {
    setWhose(subject);
    setSessionId(null);
    setRefusal(null);
  }
  const tab = useRef<Window | null>(null);

  const start = useCallback(async () => {
    // Opened while the finger is still on the button: later the browser would take it for a pop-up.
    tab.current = openBlank();
    setAsking(true);
    setRefusal(null);
    setSessionId(null);
    try {
      const successUrl = `${location.origin}/credits?checkout_id={CHECKOUT_ID}`;
      setSessionId(await initiate({ successUrl }));
    } catch (error) {
      tab.current?.close();
      setRefusal(sentence(error));
    } finally {
      setAsking(false);
    }
  }, [initiate]);

  const url = session?.url ?? null;
  const status = session?.status;
  useEffect(() => {
    if (status === "failed") tab.current?.close();
    if (!url || status !== "pending" || !tab.current) return;
    if (!tab.current.closed) tab.current.location.replace(url);
    tab.current = null;
  }, [url, status]);

  let state: Purchase["state"] = "idle";
  if (refusal !== null || status === "failed" || session === null) state = "failed";
  else if (status === "completed") state = "completed";
  else if (url !== null) state = "open";
  else if (asking || sessionId !== null) state = "preparing";
  return {
    state,
    url,
    problem: state === "failed" ? (refusal ?? session?.error ?? NO_REASON) : null,
    credits: balance?.credits ?? null,
    start,
  };
}

function openBlank(): Window | null {
  const opened = window.open("about:blank", "_blank");
  if (opened) {
    // The payment page must not be able to steer this one.
    opened.opener = null;
    opened.document.title = "Opening your payment page…";
  }
  return opened;
}
