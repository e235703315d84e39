// Pages that stay together: no gap and no duplicate while rows come, also across a reconnect.
import { connect, hear, looked, say, settleIn, sent, tell, until } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await settleIn(client);
  for (const text of ["1", "2", "3", "4", "5"]) await client.mutation(api.playground.note, { text });

  const pages = client.onPaginatedUpdate_experimental(api.playground.notePages, {}, { initialNumItems: 2 }, looked);
  const rows = () => pages.getCurrentValue()?.results ?? [];
  const status = () => pages.getCurrentValue()?.status;
  await until(() => rows().length === 2 && status() === "CanLoadMore");
  say("first page", { rows: rows(), status: status() });
  pages.getCurrentValue().loadMore(2);
  await until(() => rows().length === 4 && status() === "CanLoadMore");
  say("second page", { rows: rows() });
  await client.mutation(api.playground.note, { text: "6" });
  say("grown", { rows: rows() });
  await hear("cut");
  await until(() => sent("Connect").length === 2 && client.connectionState().isWebSocketConnected);
  await client.mutation(api.playground.note, { text: "7" });
  say("reconnected", { rows: rows() });
  pages.getCurrentValue().loadMore(5);
  await until(() => status() === "Exhausted");
  say("exhausted", { rows: rows() });
  await client.close();
});
