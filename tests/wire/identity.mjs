// Signing in and out: two Authenticates, confirmation, a refused token and its refresh, tokens that are never good.
import { connect, forged, freshToken, received, say, sent, signIn, tell, told, until, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  const who = watch(client, api.playground.whoAmI);
  await who.until((value) => value === null);
  say("nobody", { value: who.now(), credits: await refusal(client) });

  await signIn(client);
  say("confirmed", { value: who.now() });
  await until(() => sent("Authenticate").length === 2);
  const asked = 2;
  await until(() => received("Transition").some((each) => each.endVersion.identity === asked));
  say("refreshed", { value: who.now(), authenticates: sent("Authenticate").map(claim), seen: who.seen });

  client.client.clearAuth();
  await who.until((value) => value === null);
  say("signed out", { last: claim(sent("Authenticate").at(-1)) });
  await client.close();

  const second = connect();
  const whoNow = watch(second, api.playground.whoAmI);
  const before = sent("Authenticate").length;
  const forced = [];
  await signIn(second, async ({ forceRefreshToken }) => {
    forced.push(forceRefreshToken);
    return forceRefreshToken ? freshToken() : forged(await freshToken());
  });
  await whoNow.until((value) => value === told.subject);
  say("refused once", {
    forced: forced.slice(0, 2),
    errors: received("AuthError").map(({ baseVersion, authUpdateAttempted }) => ({ baseVersion, authUpdateAttempted })),
    atLeastTwice: sent("Authenticate").length - before >= 2,
    seen: whoNow.seen,
  });
  await second.close();

  const connects = sent("Connect").length;
  const late = connect({ expectAuth: true });
  const whoLate = watch(late, api.playground.whoAmI);
  await until(() => late.connectionState().isWebSocketConnected);
  await signIn(late);
  await whoLate.until((value) => value === told.subject);
  const note = await late.mutation(api.playground.note, { text: "without a Connect" });
  say("expected", { seen: whoLate.seen, note, connects: sent("Connect").length - connects });
  await late.close();

  const third = connect();
  const tries = sent("Authenticate").length;
  const signedIn = await signIn(third, async () => forged(await freshToken()));
  say("refused always", { signedIn, tries: sent("Authenticate").length - tries });
  say("as nobody", { value: await third.query(api.playground.whoAmI, {}) });
  await third.close();

  const fourth = connect({ authRefreshTokenLeewaySeconds: told.lifetime - 1 });
  const whoStays = watch(fourth, api.playground.whoAmI);
  const [claims, confirmed] = [sent("Authenticate").length, received("Transition").length];
  await signIn(fourth);
  await until(() => received("Transition").slice(confirmed).some((each) => each.endVersion.identity === 3));
  say("renewed in time", { claims: sent("Authenticate").slice(claims).map(claim), seen: whoStays.seen });
  await fourth.close();

  const fifth = connect();
  const [claimed, demands] = [sent("Authenticate").length, []];
  const without = await signIn(fifth, async ({ forceRefreshToken }) => demands.push(forceRefreshToken) && null);
  say("without a token", {
    without, demands, who: await fifth.query(api.playground.whoAmI, {}), claims: sent("Authenticate").length - claimed,
  });
  await fifth.close();
});

function claim({ tokenType, baseVersion }) {
  return { tokenType, baseVersion };
}

async function refusal(client) {
  try {
    return await client.query(api.users.getCurrentUserCredits, {});
  } catch (error) {
    return error.data;
  }
}
