// The network goes away: queries survive without a flash, and what was asked for happens exactly once.
import { connect, dieAfter, frames, hear, outcome, say, sent, settleIn, tell, told, until, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

const FIRST_PAGE = { paginationOpts: { numItems: 2, cursor: null } };

await tell(async () => {
  const client = connect();
  await settleIn(client);
  const watched = [
    watch(client, api.users.getCurrentUserCredits),
    watch(client, api.playground.notes),
    watch(client, api.playground.notePages, FIRST_PAGE),
    watch(client, api.playground.whoAmI),
  ];
  const [credits, notes] = watched;
  for (const each of watched) await each.until(() => true);
  await client.mutation(api.playground.note, { text: "before" });
  const before = watched.map((each) => each.now());
  for (const each of watched) each.seen.splice(0);
  const count = frames.length;

  say("ready");
  await hear("cut");
  const flashes = [];
  const first = await until(() => {
    watched.forEach((each, number) => each.now() === undefined && flashes.push(number));
    return reconnectedAt(count);
  });
  say("reconnected", {
    before,
    now: watched.map((each) => each.now()),
    seen: watched.map((each) => each.seen.splice(0)),
    flashes,
    burst: frames.slice(count).flatMap((frame) => (frame.sent ? [frame.sent.type] : [])).slice(0, 3),
    journals: added(count).filter((each) => typeof each.journal === "string").map((each) => each.udfPath),
    answered: first.modifications.length,
    version: first.startVersion,
    reached: { querySet: first.endVersion.querySet, identity: first.endVersion.identity },
  });

  await hear("unanswered");
  const unanswered = outcome(client.mutation(api.playground.note, { text: "unanswered" }));
  say("asked");
  say("answered", { outcome: await unanswered, shown: notes.now() });

  dieAfter("MutationResponse");
  const unreleased = await outcome(client.mutation(api.playground.note, { text: "unreleased" }));
  say("answered twice", { outcome: unreleased, shown: notes.now() });

  const running = outcome(client.mutation(api.playground.noteAtGate, { text: "running", gate: told.gate }));
  const lost = outcome(client.action(api.playground.waitAtGate, { gate: told.actionGate }));
  say("both are running");
  say("the action is lost", { outcome: await lost });
  say("the mutation is not", { outcome: await running, shown: notes.now() });

  await hear("unplugged");
  await until(() => !client.connectionState().isWebSocketConnected);
  const offline = outcome(client.mutation(api.playground.note, { text: "offline" }));
  const act = outcome(client.action(api.playground.noteByAction, { text: "offline action" }));
  say("asked offline");
  say("answered later", { outcome: await offline, action: await act, shown: notes.now() });
  await notes.until((value) => value.includes("offline action"));
  say("at last", { notes: notes.now(), sessions: new Set(sent("Connect").map((each) => each.sessionId)).size });
  say("seen", { seen: watched.map((each) => each.seen), credits: credits.now() });
  await client.close();
});

/** The first transition after the reconnect. */
function reconnectedAt(count) {
  const opened = frames.findIndex((frame, number) => number >= count && frame.sent?.type === "Connect");
  return opened < 0 ? undefined : frames.slice(opened).find((frame) => frame.received?.type === "Transition")?.received;
}

function added(count) {
  return frames
    .slice(count)
    .flatMap((frame) => (frame.sent?.type === "ModifyQuerySet" ? frame.sent.modifications : []))
    .filter((each) => each.type === "Add");
}
