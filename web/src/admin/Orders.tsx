import { useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../_generated/api";
import type { ParkedView } from "../_generated/api";
import { Badge, Button, Spinner, TextField } from "../design";
import { Figure } from "./Overview";
import { AllWell, Ident, Listing, Moment, ReasonDialog, RoomHead, useDeed } from "./parts";
import { count, money, parkedBecause, plural, wholeOf } from "./words";

const PAGE = 25;
const MOST = 1_000_000;

/** Payments that arrived and are nobody's, and whether the world outside reaches us. */
export function Orders() {
  const parked = usePaginatedQuery(api.admin.getParkedOrders, {}, { initialNumItems: PAGE });
  const [assigned, setAssigned] = useState<ParkedView | null>(null);
  return (
    <>
      <RoomHead title="Orders" says="What was paid and cannot be credited by itself waits here until somebody says whose it is." />
      <WebhookHealth />
      <Listing paginated={parked} empty={<AllWell title="Every order is somebody's"><p>Nothing is parked.</p></AllWell>}>
        {(orders) => (
          <table className="admin-table" data-testid="parked">
            <thead>
              <tr>
                <th scope="col">Order</th>
                <th scope="col">Why it waits</th>
                <th scope="col" className="admin-is-number">Paid</th>
                <th scope="col">When</th>
                <th scope="col"><span className="unseen">What can be done</span></th>
              </tr>
            </thead>
            <tbody>
              {orders.map((order) => (
                <tr key={order._id} data-order-id={order.orderId}>
                  <td data-label="Order">
                    <Ident>{order.orderId}</Ident>
                    {order.customerEmail && <span className="admin-quiet">{order.customerEmail}</span>}
                  </td>
                  <td data-label="Why it waits">
                    {parkedBecause(order.reason)} {order.refunded && <Badge variant="outline">{order.refunded} refunded</Badge>}
                  </td>
                  <td data-label="Paid" className="admin-is-number"><strong>{money(order.amountCents, order.currency)}</strong></td>
                  <td data-label="When"><Moment at={order.createdAt} /></td>
                  <td>
                    <span className="admin-row-acts"><Button size="s" onClick={() => setAssigned(order)} data-testid="assign">Give to a member</Button></span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Listing>
      {assigned && <AssignDialog order={assigned} onClose={() => setAssigned(null)} />}
    </>
  );
}

function WebhookHealth() {
  const health = useQuery(api.admin.getWebhookHealth);
  if (!health) return <Spinner label="Loading" />;
  const missed = health.foundByReconcile;
  return (
    <section aria-labelledby="webhooks" data-testid="webhooks">
      <h2 id="webhooks" className="unseen">Webhooks</h2>
      {missed > 0 && (
        <p className="admin-warning" role="status">
          {plural(missed, "order")} came to light only by comparing with Polar: its webhooks do not all reach this server. Look at the
          endpoint in Polar's settings.
        </p>
      )}
      <dl className="admin-figures">
        <Figure name="Polar last called" value={health.lastPolarAt === null ? <>never yet</> : <Moment at={health.lastPolarAt} />} />
        <Figure name="Clerk last called" value={health.lastClerkAt === null ? <>never yet</> : <Moment at={health.lastClerkAt} />} />
        <Figure name="Webhooks, 24 h" value={count(health.deliveries24h)}>{health.skipped24h > 0 && `${count(health.skipped24h)} changed nothing`}</Figure>
        <Figure name="Compared with Polar" value={health.reconciledAt === null ? <>not yet</> : <Moment at={health.reconciledAt} />} hot={missed > 0}>
          {health.reconciledAt !== null && (missed === 0 ? "nothing was missing" : `${count(missed)} missing`)}
        </Figure>
      </dl>
    </section>
  );
}

function AssignDialog({ order, onClose }: { order: ParkedView; onClose: () => void }) {
  const assign = useMutation(api.admin.assignParkedOrder);
  const { run } = useDeed();
  const [userId, setUserId] = useState("");
  const [text, setText] = useState(order.credits === undefined ? "" : String(order.credits));
  const [problem, setProblem] = useState<{ of: "member" | "credits"; says: string } | null>(null);
  const credits = wholeOf(text, 1, MOST);
  return (
    <ReasonDialog
      title="Give this order to a member"
      says={`${money(order.amountCents, order.currency)} paid${order.customerEmail ? ` by ${order.customerEmail}` : ""}. The credits arrive at once.`}
      verb="Give"
      often={["The buyer asked support", "The buyer changed their address"]}
      onClose={onClose}
      onGiven={async (reason) => {
        if (!userId.trim()) setProblem({ of: "member", says: "Whose is it? An id from the list of members." });
        else if (credits === null) setProblem({ of: "credits", says: "How many credits? A whole number above zero." });
        else return run(() => assign({ orderId: order.orderId, userId: userId.trim(), credits, reason }), `${plural(credits, "credit")} given.`);
        return false;
      }}
    >
      <TextField
        label="Member's id" value={userId} autoComplete="off" spellCheck={false} data-testid="assign-member"
        problem={problem?.of === "member" ? problem.says : null}
        onChange={(event) => { setUserId(event.target.value); setProblem(null); }}
      />
      <TextField
        label="Credits" inputMode="numeric" value={text} data-testid="assign-credits"
        problem={problem?.of === "credits" ? problem.says : null}
        onChange={(event) => { setText(event.target.value); setProblem(null); }}
      />
    </ReasonDialog>
  );
}
