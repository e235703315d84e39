// Subscriptions and mutations of the product: what is on the screen is new when the promise resolves.
import { connect, frames, outcome, received, say, sent, signIn, tell, told, until, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";

await tell(async () => {
  const client = connect();
  await signIn(client);

  const credits = watch(client, api.users.getCurrentUserCredits);
  const again = watch(client, api.users.getCurrentUserCredits);
  await again.until(() => true);
  say("first", { value: credits.now(), adds: adds() });

  await client.mutation(api.users.ensureUser, {});
  say("after ensureUser", { value: credits.now() });

  const updates = credits.seen.length;
  await client.mutation(api.users.ensureUser, {});
  say("after a mutation without effect", { news: credits.seen.length - updates });

  say("failing", {
    missing: await outcome(client.mutation(api.images.updateFeaturedStatus, { imageId: "nope", isFeatured: true })),
    wrong: await outcome(client.mutation(api.images.updateFeaturedStatus, { imageId: 5, isFeatured: true })),
    unknown: await outcome(client.mutation(api.images.nope, {})),
    internal: await outcome(client.mutation(api.images.generateImage, {})),
    unknownQuery: await outcome(client.query(api.images.nope, {})),
    wrongQuery: await outcome(client.query(api.images.getGalleryImagesPaginated, { paginationOpts: 5 })),
    mutationAsQuery: await outcome(client.query(api.users.ensureUser, {})),
  });
  say("still usable", { value: await client.query(api.users.getCurrentUserCredits, {}) });

  credits.subscription.unsubscribe();
  say("one of two left", { removes: removes() });
  again.subscription.unsubscribe();
  const asked = sent("ModifyQuerySet").at(-1).newVersion;
  await until(() => received("Transition").some((each) => each.endVersion.querySet >= asked));
  const gone = received("Transition").flatMap((each) => each.modifications).filter((each) => each.type === "QueryRemoved");
  say("both left", { removes: removes(), gone: gone.some((each) => each.queryId === added()) });
  say("sockets", { connects: sent("Connect").length, fatal: received("FatalError").length, any: frames.length > 0 });
  await client.close();
});

function changes() {
  return sent("ModifyQuerySet").flatMap((each) => each.modifications);
}

function adds() {
  return changes().filter((each) => each.type === "Add" && each.udfPath.startsWith("users:getCurrentUserCredits")).length;
}

function added() {
  return changes().find((each) => each.type === "Add").queryId;
}

function removes() {
  return changes().filter((each) => each.type === "Remove" && each.queryId === added()).length;
}
