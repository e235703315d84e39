import { useQuery } from "convex/react";
import { useEffect, useState } from "react";
import { api } from "../_generated/api.js";
import { useEnrolled } from "../app/Enrolment";
import { Icon } from "../design";
import { counted, creditBadgeState } from "./badge";
import "./credits.css";

export type CreditBalanceProps = {
  /** Asked for when the balance is zero: opens the purchase. */
  onClick?: () => void;
};

/** The balance in the head of the page: a way to buy when it is empty, a way to its history otherwise. */
export function CreditBalance({ onClick }: CreditBalanceProps) {
  const enrolled = useEnrolled();
  const data = useQuery(api.users.getCurrentUserCredits, enrolled ? {} : "skip");
  const bump = useBump(data?.credits);
  if (!data) return null;
  const { variant, isClickable, title } = creditBadgeState(data.credits);
  const look = {
    className: `credit-badge badge badge-${variant} ${bump}`,
    title,
    "data-testid": "credits",
    "data-credits": data.credits,
    "data-variant": variant,
  };
  const words = (
    <>
      <Icon name="credit" size={17} />
      <span>{data.credits}<span className="credit-unit"> {data.credits === 1 ? "credit" : "credits"}</span></span>
    </>
  );
  return isClickable ? (
    <button type="button" {...look} aria-haspopup="dialog" onClick={onClick}>{words}<span className="unseen">. {title}</span></button>
  ) : (
    <a {...look} href="/credits" aria-label={`${counted(data.credits)}, to the history`}>{words}</a>
  );
}

/** A short nod when the number changes. */
function useBump(credits: number | undefined): string {
  const [seen, setSeen] = useState(credits);
  const [bump, setBump] = useState("");
  useEffect(() => {
    if (credits === undefined || credits === seen) return;
    setSeen(credits);
    if (seen === undefined) return;
    setBump(credits > seen ? "is-up" : "is-down");
    const timer = setTimeout(() => setBump(""), 700);
    return () => clearTimeout(timer);
  }, [credits, seen]);
  return bump;
}
