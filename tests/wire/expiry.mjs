// A token runs out while its socket is open: the next mutation makes the client refresh, and runs once.
import { connect, freshToken, hear, outcome, received, say, sent, signIn, tell, until, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  const notes = watch(client, api.playground.notes);
  let fetched = 0;
  await signIn(client, async () => {
    if (++fetched !== 2) return freshToken();
    say("needs a token");
    return hear();
  });
  await until(() => received("Transition").some((each) => each.endVersion.identity === 2));
  say("signed in");
  await hear("expired");
  notes.seen.splice(0);
  const written = await outcome(client.mutation(api.playground.note, { text: "late" }));
  say("written", {
    written,
    now: notes.now(),
    seen: notes.seen,
    errors: received("AuthError").map(({ authUpdateAttempted }) => authUpdateAttempted),
    mutations: sent("Mutation").length,
    connects: sent("Connect").length,
  });
  await client.close();
});
