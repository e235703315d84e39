import type { ReactNode } from "react";
import "./empty.css";

/** What stands where nothing is yet: says so, and what to do about it. */
export function EmptyState({ title, children, art }: { title: string; children?: ReactNode; art?: ReactNode }) {
  return (
    <div className="empty">
      {art}
      <h3>{title}</h3>
      {children}
    </div>
  );
}
