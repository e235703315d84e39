// The HTTP client: every kind of call and every kind of failure; its mutations reach subscribers.
import { connect, freshToken, outcome, say, signIn, tell, told, watch } from "./harness.mjs";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const live = connect();
  await signIn(live);
  const notes = watch(live, api.playground.notes);
  await notes.until(() => true);

  const http = new ConvexHttpClient(told.url, { logger: false });
  say("as nobody", {
    who: await http.query(api.playground.whoAmI, {}),
    credits: await outcome(http.query(api.users.getCurrentUserCredits, {})),
  });
  http.setAuth(await freshToken());
  await http.mutation(api.users.ensureUser, {});
  say("calls", {
    credits: await http.query(api.users.getCurrentUserCredits, {}),
    consistent: await Promise.all([
      http.consistentQuery(api.users.getCurrentUserCredits, {}),
      http.consistentQuery(api.playground.notes, {}),
    ]),
    mutation: await http.mutation(api.playground.note, { text: "by http" }),
    action: await http.action(api.playground.noteByAction, { text: "by http action" }),
  });
  await notes.until((value) => value.length === 2);
  say("pushed", { notes: notes.now() });
  const order = ["one", "two", "three", "four"];
  await Promise.all(order.map((text) => http.mutation(api.playground.note, { text })));
  say("in order", { notes: await http.query(api.playground.notes, {}) });
  say("failing", {
    missing: await outcome(http.mutation(api.images.updateFeaturedStatus, { imageId: "nope", isFeatured: true })),
    wrong: await outcome(http.query(api.images.getGalleryImagesPaginated, { paginationOpts: 5 })),
    refused: await outcome(http.mutation(api.playground.noteAndRefuse, { text: "never" })),
    broken: await outcome(http.mutation(api.playground.noteAndBreak, { text: "never" })),
    brokenAction: await outcome(http.action(api.playground.breakDown, {})),
    unknown: await outcome(http.query(api.images.nope, {})),
    cursor: await outcome(
      http.query(api.playground.notePages, { paginationOpts: { numItems: 2, cursor: "never seen" } }),
    ),
  });
  http.setAuth("no token at all");
  say("unauthorised", { outcome: await outcome(http.query(api.playground.whoAmI, {})) });
  http.clearAuth();
  say("as nobody again", { who: await http.query(api.playground.whoAmI, {}) });
  await live.close();
});
