// A line on which nothing arrives for a while: what comes afterwards is few and new.
import { connect, received, say, settleIn, tell, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await settleIn(client);
  const notes = watch(client, api.playground.paddedNotes);
  await notes.until((value) => value.notes.length === 0);
  const before = received("Transition").length;
  say("ready");
  await notes.until((value) => value.notes.length === 16);
  say("caught up", {
    transitions: received("Transition").length - before,
    growing: notes.seen.every((value, number) => number === 0 || value.notes.length >= notes.seen[number - 1].notes.length),
    notes: notes.now().notes,
  });
  await client.close();
});
