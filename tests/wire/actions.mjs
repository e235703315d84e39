// Actions: concurrent, in any order, with every kind of end; and mutations made by them reach subscribers.
import { connect, outcome, say, signIn, tell, told, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await signIn(client);
  const notes = watch(client, api.playground.notes);
  await notes.until(() => true);

  const order = [];
  const slow = client.action(api.playground.waitAtGate, { gate: told.gate }).then((value) => order.push(value));
  const quick = client.action(api.playground.noteByAction, { text: "quick" }).then((value) => order.push(value));
  await quick;
  say("quick is done", { order });
  await slow;
  say("slow is done", { order });
  await notes.until((value) => value.includes("quick"));
  say("noted", { notes: notes.now() });
  say("failing", {
    refused: await outcome(client.action(api.playground.refuse, {})),
    broken: await outcome(client.action(api.playground.breakDown, {})),
    unknown: await outcome(client.action(api.playground.nope, {})),
    wrong: await outcome(client.action(api.playground.waitAtGate, { gate: 1 })),
  });
  await client.close();
});
