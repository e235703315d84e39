import { useQuery } from "convex/react";
import type { ReactNode } from "react";
import { api } from "../_generated/api";
import { Spinner } from "../design";
import { Moment, RoomHead } from "./parts";
import { count, lasting, money } from "./words";

const COUNTED = 10_000;
const PEEK = 50;
const STATUSES = [
  ["completed", "drawn"],
  ["processing", "being drawn"],
  ["pending", "waiting"],
  ["failed", "failed"],
] as const;

/** What is going on and what wants somebody, live. */
export function Overview() {
  const overview = useQuery(api.admin.getOverview);
  const health = useQuery(api.admin.getWebhookHealth);
  const waiting = useQuery(api.admin.getPendingFeaturedImages, { paginationOpts: { numItems: PEEK, cursor: null } });
  const moderation = useQuery(api.admin.getModerationSettings);
  if (!overview || !health || !waiting || !moderation) return <Spinner label="Loading" size={28} />;
  const toReview = moderation.requireApproval ? waiting.page.length : 0;
  return (
    <>
      <RoomHead title="Overview" says="Everything here moves by itself." />
      <ul className="admin-wants" aria-label="What wants somebody">
        <Want to="/admin/review" value={toReview} more={!waiting.isDone} one="picture waits for review" many="pictures wait for review" />
        <Want to="/admin/orders" value={health.parkedOrders} one="paid order is nobody's" many="paid orders are nobody's" />
        <Want to="/admin/jobs" value={overview.deadJobs} one="piece of work was given up" many="pieces of work were given up" />
        <Want to="/admin/orders" value={health.foundByReconcile} one="order came without a webhook" many="orders came without a webhook" />
        {toReview + health.parkedOrders + overview.deadJobs + health.foundByReconcile === 0 && (
          <li className="admin-want admin-want-nothing">Nothing wants you. Have a tea.</li>
        )}
      </ul>
      <dl className="admin-figures">
        <Figure name="Members" value={count(overview.users, COUNTED)} />
        <Figure name="Revenue, 24 h" value={money(overview.revenueCents24h)} />
        <Figure name="Being drawn" value={count(overview.running, COUNTED)} />
        <Figure name="Waiting to be drawn" value={count(overview.queueDepth, COUNTED)} hot={overview.queueDepth > 0}>
          {overview.queueDepth > 0 && `the longest for ${lasting(overview.oldestWaitMs)}`}
        </Figure>
        <Figure name="Given up, 24 h" value={count(overview.givenUp24h, COUNTED)} />
        <Figure name="Webhooks, 24 h" value={count(health.deliveries24h)}>
          {health.skipped24h > 0 && `${count(health.skipped24h)} changed nothing`}
        </Figure>
      </dl>
      <section className="admin-sheet" aria-labelledby="pictures">
        <h2 id="pictures">Photos and drawings</h2>
        <Shares byStatus={overview.imagesByStatus} />
      </section>
      <section className="admin-sheet" aria-labelledby="outside">
        <h2 id="outside">The world outside</h2>
        <dl className="admin-pairs">
          <Pair name="Polar last told us something">{health.lastPolarAt === null ? "never yet" : <Moment at={health.lastPolarAt} />}</Pair>
          <Pair name="Clerk last told us something">{health.lastClerkAt === null ? "never yet" : <Moment at={health.lastClerkAt} />}</Pair>
          <Pair name="Orders were last compared with Polar">{health.reconciledAt === null ? "not yet" : <Moment at={health.reconciledAt} />}</Pair>
        </dl>
      </section>
    </>
  );
}

function Want({ to, value, more = false, one, many }: { to: string; value: number; more?: boolean; one: string; many: string }) {
  if (value === 0) return null;
  return (
    <li className="admin-want">
      <a href={to}>
        <strong>{count(value)}{more && "+"}</strong> {value === 1 ? one : many}
      </a>
    </li>
  );
}

/** More characters than that do not fit in the largest letters. */
const LARGE = 5;

export function Figure({ name, value, hot = false, children }: { name: string; value: ReactNode; hot?: boolean; children?: ReactNode }) {
  return (
    <div className="admin-figure" data-hot={hot || undefined}>
      <dt>{name}</dt>
      <dd>
        <strong data-words={typeof value !== "string" || value.length > LARGE || undefined}>{value}</strong>
        {children && <span>{children}</span>}
      </dd>
    </div>
  );
}

export function Pair({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Shares({ byStatus }: { byStatus: Record<string, number> }) {
  return (
    <>
      <div className="admin-shares" aria-hidden="true">
        {STATUSES.map(([status]) => (
          <span key={status} className={`admin-share admin-share-${status}`} style={{ flexGrow: byStatus[status] ?? 0 }} />
        ))}
      </div>
      <ul className="admin-legend">
        {STATUSES.map(([status, says]) => (
          <li key={status} className={`admin-share-${status}`}>
            <strong>{count(byStatus[status] ?? 0, COUNTED)}</strong> {says}
          </li>
        ))}
      </ul>
    </>
  );
}
