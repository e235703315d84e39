import { useMutation, usePaginatedQuery } from "convex/react";
import { api } from "../_generated/api";
import type { StuckJob } from "../_generated/api";
import { Button } from "../design";
import { AllWell, Ident, Listing, Moment, RoomHead, useDeed } from "./parts";
import { plural, work } from "./words";

const PAGE = 25;
const THE_MEMBERS = "generate_image";

/** Work that was given up, and why; most of it can be tried again. */
export function Jobs() {
  const paginated = usePaginatedQuery(api.admin.getStuckJobs, {}, { initialNumItems: PAGE });
  return (
    <>
      <RoomHead title="Stuck work" says="What was tried as often as it may be and given up, the latest first." />
      <Listing paginated={paginated} empty={<AllWell title="Nothing is stuck"><p>Work that is given up appears here by itself.</p></AllWell>}>
        {(jobs) => (
          <table className="admin-table" data-testid="jobs">
            <thead>
              <tr>
                <th scope="col">Work</th>
                <th scope="col">Why it was given up</th>
                <th scope="col">When</th>
                <th scope="col"><span className="unseen">What can be done</span></th>
              </tr>
            </thead>
            <tbody>{jobs.map((job) => <Row key={job._id} job={job} />)}</tbody>
          </table>
        )}
      </Listing>
    </>
  );
}

function Row({ job }: { job: StuckJob }) {
  const retry = useMutation(api.admin.retryJob);
  const { busy, run } = useDeed();
  return (
    <tr>
      <td data-label="Work">
        <strong>{work(job.kind)}</strong>
        <Ident>{job.subject}</Ident>
      </td>
      <td data-label="Why it was given up">
        {job.reason ?? "Nobody wrote down why."} <span className="admin-quiet">after {plural(job.attempt, "try", "tries")}</span>
      </td>
      <td data-label="When"><Moment at={job.settledAt ?? job.createdAt} /></td>
      <td>
        <span className="admin-row-acts">
          {job.kind === THE_MEMBERS ? (
            <span className="admin-quiet">The member's to retry: their credit went back.</span>
          ) : (
            <Button size="s" icon="retry" busy={busy} onClick={() => run(() => retry({ jobId: job._id }), "It is tried again, as new work.")}>Try again</Button>
          )}
        </span>
      </td>
    </tr>
  );
}
