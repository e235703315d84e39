import { useQuery } from "convex/react";
import { api } from "../_generated/api";
import type { ProcessView } from "../_generated/api";
import { EmptyState, Spinner } from "../design";
import { Figure } from "./Overview";
import { Ident, Moment, RoomHead } from "./parts";
import { bytes, count, lasting, latency, plural } from "./words";

const COUNTED = 10_000;
/** The ledger is audited every ten minutes; three in a row that are missing are no coincidence. */
const AUDIT_IS_LATE_MS = 30 * 60_000;

/** How the house runs: its processes, its queue, its books, and whether the world outside reaches it. */
export function Operations() {
  const processes = useQuery(api.admin.getProcesses);
  const overview = useQuery(api.admin.getOverview);
  const health = useQuery(api.admin.getWebhookHealth);
  const audit = useQuery(api.admin.getLedgerAudit);
  if (!processes || !overview || !health || audit === undefined) return <Spinner label="Loading" size={28} />;
  const workers = processes.filter(({ role }) => role !== "web").length;
  const sum = (of: (each: ProcessView) => number) => processes.reduce((total, each) => total + of(each), 0);
  const slowest = Math.max(...processes.map(({ pushP99Ms }) => pushP99Ms ?? -1));
  return (
    <>
      <RoomHead title="Operations" says="Every process says how it is every five seconds. One that falls silent leaves the list." />
      {audit?.hasFailed && (
        <p className="admin-warning" role="alert" data-testid="ledger-failed">
          {plural(audit.imbalanced, "balance is", "balances are")} not the sum of what happened to it. No process counts as ready until that
          is put right or acknowledged: run <code>python -m server audit</code>.
        </p>
      )}
      {workers === 0 && <p className="admin-warning" role="status">No worker is here: what is asked for waits.</p>}
      <dl className="admin-figures admin-figures-by-three">
        <Figure name="Open sockets" value={count(sum((each) => each.sockets))}>{plural(sum((each) => each.liveQueries), "live query", "live queries")}</Figure>
        <Figure name="From commit to screen" value={slowest < 0 ? <>nothing sent</> : latency(slowest)}>
          {slowest >= 0 && "99 of 100 were faster, lately"}
        </Figure>
        <Figure name="Jobs that run" value={count(overview.running, COUNTED)}>{plural(workers, "worker")}</Figure>
        <Figure name="Jobs that wait" value={count(overview.queueDepth, COUNTED)} hot={overview.oldestWaitMs > 60_000}>
          {overview.queueDepth > 0 && `the longest for ${lasting(overview.oldestWaitMs)}`}
        </Figure>
        <Figure name="Ledger audited" value={audit === null ? <>not yet</> : <Moment at={audit.auditedAt} />} hot={audit !== null && (audit.imbalanced > 0 || Date.now() - audit.auditedAt > AUDIT_IS_LATE_MS)}>
          {audit !== null && (audit.imbalanced === 0 ? "every balance is right" : `${plural(audit.imbalanced, "balance")} wrong${audit.hasFailed ? "" : ", acknowledged"}`)}
        </Figure>
        <Figure name="Polar last called" value={health.lastPolarAt === null ? <>never yet</> : <Moment at={health.lastPolarAt} />}>
          {health.lastClerkAt !== null && <>Clerk <Moment at={health.lastClerkAt} /></>}
        </Figure>
      </dl>
      {processes.length === 0 ? <EmptyState title="Nobody has said anything yet"><p>It takes five seconds.</p></EmptyState> : <Processes processes={processes} />}
    </>
  );
}

function Processes({ processes }: { processes: ProcessView[] }) {
  return (
    <table className="admin-table" data-testid="processes">
      <thead>
        <tr>
          <th scope="col">Process</th>
          <th scope="col">Started</th>
          <th scope="col" className="admin-is-number">Sockets</th>
          <th scope="col" className="admin-is-number">Answers</th>
          <th scope="col" className="admin-is-number">Push, half / 99%</th>
          <th scope="col" className="admin-is-number">Feed behind</th>
          <th scope="col" className="admin-is-number">Jobs</th>
          <th scope="col" className="admin-is-number">Memory</th>
        </tr>
      </thead>
      <tbody>{processes.map((each) => <Row key={each.name} process={each} />)}</tbody>
    </table>
  );
}

function Row({ process }: { process: ProcessView }) {
  const serves = process.role !== "worker";
  return (
    <tr data-role={process.role}>
      <td data-label="Process">
        <strong>{process.role}</strong>
        <Ident>{process.name}</Ident>
      </td>
      <td data-label="Started"><Moment at={process.startedAt} /> <span className="admin-quiet">{process.version}</span></td>
      <td data-label="Sockets" className="admin-is-number"><span>{serves ? count(process.sockets) : "\u2013"}</span></td>
      <td data-label="Answers" className="admin-is-number"><span>{serves ? count(process.answers) : "\u2013"}</span></td>
      <td data-label="Push, half / 99%" className="admin-is-number">
        <span>{process.pushP50Ms === null || process.pushP99Ms === null ? "\u2013" : `${latency(process.pushP50Ms)} / ${latency(process.pushP99Ms)}`}</span>
      </td>
      <td data-label="Feed behind" className="admin-is-number"><span>{latency(process.feedLagMs)}</span></td>
      <td data-label="Jobs" className="admin-is-number"><span>{process.role === "web" ? "\u2013" : count(process.jobsRunning)}</span></td>
      <td data-label="Memory" className="admin-is-number"><span>{process.residentBytes === null ? "\u2013" : bytes(process.residentBytes)}</span></td>
    </tr>
  );
}
