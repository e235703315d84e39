import type { ReactNode } from "react";
import "./badge.css";

/** The three variants are the data model's; `hot` is ours, for what is live. */
export type BadgeVariant = "secondary" | "outline" | "destructive" | "hot";

export function Badge({ variant = "secondary", children }: { variant?: BadgeVariant; children: ReactNode }) {
  return <span className={`badge badge-${variant}`}>{children}</span>;
}
