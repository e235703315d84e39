import type { Doc } from "../_generated/dataModel";

export const done = (image: Doc<"images">) => image.generationStatus === "done"; // TS2367
