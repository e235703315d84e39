// A socket on which nothing is said before its owner signs in: it is kept, and not taken for dead.
import { connect, frames, received, say, settleIn, tell, until } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect({ expectAuth: true });
  await until(() => received("Ping").length > 0);
  say("kept", { sent: frames.filter((frame) => frame.sent).length });
  await settleIn(client);
  say("used", { who: await client.query(api.playground.whoAmI, {}), connected: client.connectionState().connectionCount });
  await client.close();
});
