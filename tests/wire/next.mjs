// The helpers for servers that render pages: one call each, with nothing but an address and a token.
import { freshToken, outcome, say, tell, told } from "./harness.mjs";
import { fetchAction, fetchMutation, fetchQuery, preloadQuery, preloadedQueryResult } from "convex/nextjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const unset = await outcome(fetchQuery(api.playground.whoAmI, {}));
  process.env.NEXT_PUBLIC_CONVEX_URL = told.url;
  say("as nobody", { unset, who: await fetchQuery(api.playground.whoAmI), refused: await outcome(fetchQuery(api.playground.notes, {})) });
  const token = await freshToken();
  const preloaded = await preloadQuery(api.playground.curiosities, {}, { token });
  say("as a member", {
    who: await fetchQuery(api.playground.whoAmI, {}, { token }),
    mutation: await fetchMutation(api.playground.note, { text: "one" }, { token }),
    action: await fetchAction(api.playground.noteByAction, { text: "two" }, { token }),
    notes: await fetchQuery(api.playground.notes, {}, { token, url: `${told.url}/` }),
    preloaded: Object.is(preloadedQueryResult(preloaded).negativeZero, -0),
    travels: typeof JSON.stringify(preloaded),
  });
  say("failing", {
    refused: await outcome(fetchMutation(api.playground.noteAndRefuse, { text: "never" }, { token })),
    broken: await outcome(fetchAction(api.playground.breakDown, {}, { token })),
    unknown: await outcome(fetchQuery(api.images.nope, {}, { token })),
    forged: await outcome(fetchQuery(api.playground.whoAmI, {}, { token: "no token at all" })),
    notes: await fetchQuery(api.playground.notes, {}, { token }),
  });
});
