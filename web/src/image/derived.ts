import { ago } from "../app/time";
import type { GalleryImageType, Showable } from "./types";

export type Status = "completed" | "failed" | "pending" | "processing";

export function statusOf(image: Showable): Status {
  if (image.isGenerated) return "completed";
  return ("generationStatus" in image && image.generationStatus) || "completed";
}

/** One place on the wall for a photo and the drawing that takes it over. */
export function keyOf(image: Showable): string {
  return ("originalImageId" in image && image.originalImageId) || image._id;
}

export function describe(image: Showable, now: number): string {
  const age = ago(image.createdAt, now);
  switch (statusOf(image)) {
    case "pending":
      return `Photo from ${age}, waiting to be drawn`;
    case "processing":
      return `Photo from ${age}, being drawn`;
    case "failed":
      return `Photo from ${age} that could not be drawn`;
    case "completed":
      return `Drawing from ${age}`;
  }
}

/** The same file on the address this page came from: the page's policy lets it reach no other. */
export function sameOrigin(url: string | undefined): string | null {
  if (!url) return null;
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

export function placeholderOf(image: { placeholderBlurDataUrl?: string }): string | null {
  return image.placeholderBlurDataUrl?.startsWith("data:image/") ? image.placeholderBlurDataUrl : null;
}

export function shareUrlOf(image: Showable): string {
  return `${location.origin}/share/${image._id}`;
}

export function fileNameOf(image: Showable): string {
  const kind = image.contentType?.split("/")[1] ?? "png";
  return `anime-leak-${image._id}.${kind === "jpeg" ? "jpg" : kind}`;
}

/** What the modal knows beyond the document (data model, section 3.4). */
export type ImageModalData = {
  isProcessing: boolean;
  isFailed: boolean;
  canShare: boolean;
  canFeature: boolean;
  shareUrl?: string;
};

export function modalDataOf(image: GalleryImageType, subject: string | null): ImageModalData {
  const status = statusOf(image);
  const canShare = image.sharingEnabled !== false;
  return {
    isProcessing: status === "pending" || status === "processing",
    isFailed: status === "failed",
    canShare,
    canFeature: image.isGenerated === true && image.userId === subject,
    ...(canShare && { shareUrl: shareUrlOf(image) }),
  };
}

/** How a drawing stands with the public gallery, as its owner reads it. */
export type Standing =
  | { name: "private" }
  | { name: "rejected"; reason: string }
  | { name: "hidden"; reason: string }
  /** Featured; whether it shows already depends on review, which only `featureApprovedAt` tells of. */
  | { name: "featured"; approved: boolean };

export function standingOf(image: GalleryImageType): Standing {
  if (image.isDisabledByAdmin) return { name: "hidden", reason: image.disabledByAdminReason ?? "No reason was given." };
  if (image.isFeatured) return { name: "featured", approved: image.featureApprovedAt !== undefined };
  if (image.featureRejectedAt !== undefined) {
    return { name: "rejected", reason: image.featureRejectionReason ?? "No reason was given." };
  }
  return { name: "private" };
}
