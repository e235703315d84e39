import { usePaginatedQuery } from "convex/react";
import { api } from "../_generated/api";
import { EmptyState } from "../design";
import { Ident, Listing, Moment, RoomHead } from "./parts";
import { deed, why } from "./words";

const PAGE = 40;

/** Who did what to which document, and when. Nobody can change it. */
export function AuditLog() {
  const paginated = usePaginatedQuery(api.admin.getAuditLog, {}, { initialNumItems: PAGE });
  return (
    <>
      <RoomHead title="Audit log" says="Every deed of an administrator, written in the transaction that did it." />
      <Listing paginated={paginated} empty={<EmptyState title="Nobody has done anything yet" />}>
        {(entries) => (
          <ol className="admin-log" data-testid="audit">
            {entries.map((entry) => (
              <li key={entry._id} data-action={entry.action}>
                <Moment at={entry.createdAt} />
                <p>
                  <strong>{entry.actor}</strong> {deed(entry.action)} <Target action={entry.action} target={entry.target} />
                  {entry.reason && (entry.action === "moderation.changed" ? entry.reason : <q>{why(entry.action, entry.reason)}</q>)}
                </p>
              </li>
            ))}
          </ol>
        )}
      </Listing>
    </>
  );
}

function Target({ action, target }: { action: string; target: string }) {
  if (action.startsWith("billing.") || action.startsWith("moderation.")) return null;
  if (action.startsWith("image.") && action !== "image.deleted") return <a href={`/share/${target}`}><Ident>{target}</Ident></a>;
  return <Ident>{target}</Ident>;
}
