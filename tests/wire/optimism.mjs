// Optimistic updates: shown at once, swapped with the server's result in one step, rolled back on failure.
import { connect, outcome, say, sent, settleIn, tell, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await settleIn(client);
  const notes = watch(client, api.playground.notes);
  await notes.until(() => true);

  const hope = (text) => ({
    optimisticUpdate: (store) =>
      store.setQuery(api.playground.notes, {}, [...(store.getQuery(api.playground.notes, {}) ?? []), `hoping for ${text}`]),
  });
  await client.mutation(api.playground.note, { text: "a" }, hope("a"));
  say("swapped", { seen: notes.seen.splice(0), now: notes.now() });

  const refused = await outcome(client.mutation(api.playground.noteAndRefuse, { text: "b" }, hope("b")));
  say("rolled back", { refused, seen: notes.seen.splice(0), now: notes.now() });

  const broken = await outcome(client.mutation(api.playground.noteAndBreak, { text: "c" }, hope("c")));
  say("broken", { broken, seen: notes.seen.splice(0), now: notes.now() });

  const texts = Array.from({ length: 20 }, (_, number) => `burst ${number}`);
  const own = await Promise.all(
    texts.map(async (text) => {
      await client.mutation(api.playground.note, { text });
      return notes.now().includes(text);
    }),
  );
  say("burst", { own, now: notes.now(), session: sent("Connect")[0].sessionId });
  await client.close();
});
