// What the product's front end does, and what must be inferred from it.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { useMutation, usePaginatedQuery, useQuery } from "convex/react";
import type { FunctionArgs, FunctionReturnType } from "convex/server";
import { ConvexError } from "convex/values";

import { api } from "./_generated/api";
import type { Doc, Id, TableNames } from "./_generated/dataModel";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <Claim extends true>(): Claim | undefined => undefined;

// As the data model recommends: the shape of an item is inferred, never composed by hand.
type GalleryImage = FunctionReturnType<typeof api.images.getGalleryImagesPaginated>["page"][number];
holds<Same<GalleryImage["_id"], Id<"images">>>();
holds<Same<GalleryImage["body"], Id<"_storage">>>();
holds<Same<GalleryImage["url"], string>>();
holds<Same<GalleryImage["isFeatured"], boolean>>();
holds<Same<GalleryImage["featuredAt"], number | undefined>>();
holds<
  Same<
    NonNullable<GalleryImage["generationStatus"]>,
    "pending" | "processing" | "completed" | "failed"
  >
>();

export function gallery(cursor: string | null): GalleryImage[] | undefined {
  const result = useQuery(api.images.getGalleryImagesPaginated, {
    paginationOpts: { numItems: 12, cursor },
  });
  return result?.isDone ? result.page : undefined;
}

export function wall(): string[] {
  const { results, loadMore, status } = usePaginatedQuery(
    api.images.getPublicGallery,
    {},
    { initialNumItems: 16 },
  );
  if (status === "CanLoadMore") loadMore(16);
  return results.map((image) => image.url);
}

export function balance(): string {
  const held = useQuery(api.users.getCurrentUserCredits);
  return held === undefined ? "…" : `${held.credits.toFixed()} ${held.hasFreeTrial}`;
}

export function shared(imageId: Id<"images">): string | null | undefined {
  const image = useQuery(api.images.getImageById, { imageId });
  return image === null || image === undefined ? image : image.url;
}

export function buttons(image: GalleryImage) {
  const feature = useMutation(api.images.updateFeaturedStatus);
  const remove = useMutation(api.images.deleteImage);
  return async (): Promise<number> => {
    const nothing: null = await feature({ imageId: image._id, isFeatured: !image.isFeatured });
    const { deletedTotal } = await remove({ imageId: image._id });
    return nothing ?? deletedTotal;
  };
}

export async function upload(client: ConvexClient, storageId: Id<"_storage">): Promise<Id<"images">> {
  await client.mutation(api.users.ensureUser, {});
  const url: string = await client.mutation(api.images.generateUploadUrl, {});
  client.onUpdate(api.images.hasActiveGenerations, {}, (active: boolean) => void active);
  return client.mutation(api.images.uploadAndScheduleGeneration, {
    storageId,
    contentType: url,
    originalWidth: 640,
  });
}

export async function administer(http: ConvexHttpClient): Promise<string> {
  const settings = await http.query(api.admin.getBillingSettings, {});
  const by: string | null = settings.updatedBy;
  const log = await http.query(api.admin.getAuditLog, {
    paginationOpts: { numItems: 1, cursor: null },
  });
  holds<Same<(typeof log.page)[number], Doc<"auditLog">>>();
  const { imagesByStatus } = await http.query(api.admin.getOverview);
  return `${by} ${log.page[0].actor} ${imagesByStatus["failed"] + 1}`;
}

holds<Same<FunctionArgs<typeof api.images.deleteImage>["includeGenerated"], boolean | null | undefined>>();
holds<Same<FunctionReturnType<typeof api.users.ensureUser>, null>>();
holds<Same<Doc<"users">["userId"], string>>();
holds<
  Same<
    Extract<TableNames, "images" | "users" | "admins" | "payments" | "billingSettings">,
    "images" | "users" | "admins" | "payments" | "billingSettings"
  >
>();

export const told = (error: unknown): string =>
  error instanceof ConvexError ? (error.data as { code: string; message: string }).code : "";
