// The product's own story: upload a photo, watch it being drawn, see the result, one credit less.
import { connect, outcome, say, signIn, tell, told, watch } from "./harness.mjs";
import { anyApi as api } from "convex/server";
import { readFile } from "node:fs/promises";

await tell(async () => {
  const client = connect();
  await signIn(client);
  await client.mutation(api.users.ensureUser, {});
  const credits = watch(client, api.users.getCurrentUserCredits);
  const busy = watch(client, api.images.hasActiveGenerations);
  const gallery = watch(client, api.images.getGalleryImagesPaginated, { paginationOpts: { numItems: 12, cursor: null } });
  await gallery.until((value) => value.page.length === 0);
  await busy.until((value) => value === false);

  const address = await client.mutation(api.images.generateUploadUrl, {});
  const body = await readFile(told.photo);
  const reply = await fetch(address, { method: "POST", headers: { "content-type": "image/jpeg" }, body });
  const { storageId } = await reply.json();
  const imageId = await client.mutation(api.images.uploadAndScheduleGeneration, { storageId, originalWidth: 3 });
  say("scheduled", {
    status: reply.status,
    page: gallery.now().page.map(({ _id, generationStatus, isGenerated, originalWidth }) => ({
      isTheOne: _id === imageId, generationStatus, isGenerated: isGenerated ?? false, originalWidth,
    })),
    credits: credits.now().credits,
    busy: busy.now(),
  });

  await gallery.until((value) => value.page.length === 1 && value.page[0].isGenerated);
  await busy.until((value) => value === false);
  const [result] = gallery.now().page;
  const picture = await fetch(result.url);
  const content = Buffer.from(await picture.arrayBuffer());
  say("drawn", {
    statuses: gallery.seen.map((value) => value.page.map((each) => each.generationStatus).join()),
    ofTheOriginal: result.originalImageId === imageId,
    status: picture.status,
    type: picture.headers.get("content-type"),
    length: content.length,
    credits: credits.now().credits,
    count: await client.query(api.images.getGalleryImagesCount, {}),
  });
  say("used up", { again: await outcome(client.mutation(api.images.uploadAndScheduleGeneration, { storageId })) });
  await client.close();
});
