// Members behind a balancer while every process is replaced: each asks for one thing after the other, and watches what comes of it.
import { hear, say, tell, told, watch } from "./harness.mjs";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import WebSocket from "ws";

const PAUSE_MS = 40;
const PHOTO_EVERY = 6;
const photo = Buffer.from(told.photo, "base64");

await tell(async () => {
  const members = told.members.map(join);
  for (const each of members) await each.watched.until((value) => value.credits > 0);
  say("ready");
  let enough = false;
  const working = members.map((each) => each.work(() => enough));
  await hear("enough");
  enough = true;
  say("done", { members: await Promise.all(working) });
  const balances = JSON.parse(await hear());
  for (const each of members) await each.watched.until((value) => value.credits === balances[each.subject]);
  say("shown");
  for (const each of members) await each.client.close();
});

function join({ subject, token }) {
  const alarms = [];
  const lines = [];
  const note = (...words) => lines.push(words.join(" "));
  const alarm = (...words) => alarms.push(words.join(" "));
  const client = new ConvexClient(told.url, {
    webSocketConstructor: WebSocket,
    logger: { logVerbose: () => {}, log: note, warn: alarm, error: alarm },
    onServerDisconnectError: alarm,
    unsavedChangesWarning: false,
  });
  client.setAuth(async () => token);
  const gap = gaps(client);
  const watched = watch(client, api.users.getCurrentUserCredits);

  async function draw() {
    const address = await client.mutation(api.images.generateUploadUrl, {});
    const reply = await fetch(address, { method: "POST", body: photo, headers: { "content-type": "image/jpeg" } });
    if (!reply.ok) throw new Error(`${subject}: an upload ended with ${reply.status}`);
    await client.mutation(api.images.uploadAndScheduleGeneration, await reply.json());
  }

  async function work(enough) {
    let asked = 0;
    let drawn = 0;
    while (!enough()) {
      const reason = `${subject} ${asked}`;
      await client.mutation(api.admin.adjustCredits, { userId: subject, amount: 1, reason });
      asked += 1;
      if (asked % PHOTO_EVERY === 0) {
        await draw();
        drawn += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return { subject, asked, drawn, alarms, closes: lines.filter((each) => each.startsWith("WebSocket closed with")), ...gap() };
  }
  return { subject, client, watched, work };
}

/** How often the client was without a line, and for how long at most. */
function gaps(client) {
  let since;
  let gaps = 0;
  let longestMs = 0;
  client.subscribeToConnectionState((state) => {
    if (!state.hasEverConnected) return;
    if (!state.isWebSocketConnected) {
      since ??= performance.now();
    } else if (since !== undefined) {
      gaps += 1;
      longestMs = Math.max(longestMs, performance.now() - since);
      since = undefined;
    }
  });
  return () => ({ gaps, longestMs: Math.round(longestMs) });
}
