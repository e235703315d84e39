import { internal } from "../_generated/api"; // TS2305

export const everything = internal;
