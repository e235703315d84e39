// The server goes away and comes back: the screen keeps what it shows, and then goes on.
import { connect, hear, outcome, received, say, sent, settleIn, tell, until, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await settleIn(client);
  const watched = [watch(client, api.playground.notes), watch(client, api.playground.whoAmI)];
  for (const each of watched) await each.until(() => true);
  await client.mutation(api.playground.note, { text: "before" });
  say("ready");
  await until(() => !client.connectionState().isWebSocketConnected);
  const offline = outcome(client.mutation(api.playground.note, { text: "while it is away" }));
  const shown = watched.map((each) => each.now());
  for (const each of watched) each.seen.splice(0);
  say("away", { shown });
  await hear("back");
  const written = await offline;
  say("back", {
    written,
    shown: watched.map((each) => each.now()),
    flashes: watched.flatMap((each) => each.seen.filter((value) => value === "undefined!")),
    observed: typeof sent("Connect").at(-1).maxObservedTimestamp,
    fatal: received("FatalError").length,
  });
  await client.close();
});
