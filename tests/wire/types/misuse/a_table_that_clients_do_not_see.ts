import type { Doc, Id } from "../_generated/dataModel";

export type Secret = Doc<"secrets">; // TS2344
export type Job = Doc<"jobs">; // TS2344
export type Receipt = Id<"receipts">; // TS2344
