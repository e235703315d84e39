import { useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { useDeferredValue, useState } from "react";
import { api } from "../_generated/api";
import type { MemberView } from "../_generated/api";
import { useSession } from "../auth/session";
import { Badge, Button, EmptyState, Spinner, TextField } from "../design";
import { Ident, Listing, Moment, ReasonDialog, RoomHead, useDeed } from "./parts";
import { count, plural, signed, wholeOf } from "./words";

const PAGE = 25;
const MOST = 1_000_000;

/** Who is here, the newest first or by id and address; balances move while one looks. */
export function Members() {
  const [text, setText] = useState("");
  const sought = useDeferredValue(text.trim());
  const [adjusted, setAdjusted] = useState<MemberView | null>(null);
  return (
    <>
      <RoomHead title="Members" says="The newest first. Every change of a balance goes through the ledger and the audit log.">
        <TextField
          label="Find a member"
          type="search"
          placeholder="The beginning of an id, or an e-mail address"
          value={text}
          maxLength={255}
          data-testid="member-search"
          onChange={(event) => setText(event.target.value)}
        />
      </RoomHead>
      {sought ? <Found text={sought} onAdjust={setAdjusted} /> : <Everybody onAdjust={setAdjusted} />}
      {adjusted && <AdjustDialog member={adjusted} onClose={() => setAdjusted(null)} />}
    </>
  );
}

type Rows = { onAdjust: (member: MemberView) => void };

function Everybody({ onAdjust }: Rows) {
  const paginated = usePaginatedQuery(api.admin.getUsers, {}, { initialNumItems: PAGE });
  return (
    <Listing paginated={paginated} empty={<EmptyState title="Nobody is here yet" />}>
      {(members) => <Table members={members} onAdjust={onAdjust} />}
    </Listing>
  );
}

function Found({ text, onAdjust }: Rows & { text: string }) {
  const found = useQuery(api.admin.findUsers, { text });
  if (!found) return <Spinner label="Looking" size={28} />;
  if (found.length === 0) return <EmptyState title="Nobody by that name"><p>An id is found by its beginning, an e-mail address only whole.</p></EmptyState>;
  return <Table members={found} onAdjust={onAdjust} />;
}

function Table({ members, onAdjust }: Rows & { members: MemberView[] }) {
  return (
    <table className="admin-table" data-testid="members">
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col" className="admin-is-number">Credits</th>
          <th scope="col">Here since</th>
          <th scope="col"><span className="unseen">What can be done</span></th>
        </tr>
      </thead>
      <tbody>
        {members.map((member) => <Row key={member._id} member={member} onAdjust={onAdjust} />)}
      </tbody>
    </table>
  );
}

function Row({ member, onAdjust }: { member: MemberView; onAdjust: (member: MemberView) => void }) {
  const { subject } = useSession();
  const grant = useMutation(api.admin.grantAdmin);
  const revoke = useMutation(api.admin.revokeAdmin);
  const { busy, run } = useDeed();
  const { userId, isAdmin } = member;
  return (
    <tr data-user-id={userId}>
      <td data-label="Member">
        <span className="admin-who">
          <strong>{member.name ?? member.email ?? userId}</strong>
          {isAdmin && <Badge variant="hot">Administrator</Badge>}
        </span>
        {member.name && member.email && <span className="admin-quiet">{member.email}</span>}
        {(member.name || member.email) && <Ident>{userId}</Ident>}
      </td>
      <td data-label="Credits" className="admin-is-number">
        <strong data-testid="balance">{count(member.credits)}</strong>
        {!!member.creditsOwed && <span className="admin-quiet">{count(member.creditsOwed)} owed</span>}
      </td>
      <td data-label="Here since"><Moment at={member.createdAt} /></td>
      <td>
        <span className="admin-row-acts">
          <Button size="s" onClick={() => onAdjust(member)} data-testid="adjust">Adjust credits</Button>
          {isAdmin ? (
            userId !== subject && <Button size="s" look="danger" busy={busy} onClick={() => run(() => revoke({ userId }), "The role is gone, at once.")}>Revoke role</Button>
          ) : (
            <Button size="s" look="quiet" busy={busy} onClick={() => run(() => grant({ userId }), "An administrator from now on.")}>Make administrator</Button>
          )}
        </span>
      </td>
    </tr>
  );
}

function AdjustDialog({ member, onClose }: { member: MemberView; onClose: () => void }) {
  const adjust = useMutation(api.admin.adjustCredits);
  const { run } = useDeed();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const amount = wholeOf(text, -MOST, MOST);
  const after = amount === null ? null : member.credits + amount;
  return (
    <ReasonDialog
      title={`Credits of ${member.name ?? member.email ?? member.userId}`}
      says={`${plural(member.credits, "credit")} now. Write how many to give, or with a minus, how many to take away.`}
      verb="Adjust"
      often={["As an apology", "A test", "Agreed with support"]}
      onClose={onClose}
      onGiven={async (reason) => {
        if (amount === null || amount === 0) setProblem("Write a whole number that is not zero.");
        else if (after !== null && after < 0) setProblem("Nobody can have fewer than none.");
        else return run(() => adjust({ userId: member.userId, amount, reason }), `${signed(amount)}: ${plural(member.credits + amount, "credit")} now.`);
        return false;
      }}
    >
      <TextField
        label="Amount"
        inputMode="numeric"
        autoComplete="off"
        value={text}
        problem={problem}
        hint={amount && after !== null && after >= 0 ? `${plural(after, "credit")} afterwards.` : "For example 20, or -5."}
        data-testid="amount"
        onChange={(event) => {
          setText(event.target.value);
          setProblem(null);
        }}
      />
    </ReasonDialog>
  );
}
