import { ConvexError } from "convex/values";

/** What a refusal from the server carries. */
export type Refusal = { code: string; message: string; retryAfterMs?: number; reason?: string };

const OURS = "Something broke on our side. Please try again.";

export function refusalOf(error: unknown): Refusal | null {
  const data: unknown = error instanceof ConvexError ? error.data : null;
  if (typeof data !== "object" || data === null || !("code" in data)) return null;
  return data as Refusal;
}

/** What a person should read when this error stopped what they were doing. */
export function sentence(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal === null) {
    // An error that the server did not word for people is none of their business.
    return error instanceof Error && error.name === "Error" && !/\[Request ID|Server Error|\[CONVEX/.test(error.message)
      ? error.message
      : OURS;
  }
  if (refusal.code === "INSUFFICIENT_CREDITS") {
    return "You are out of credits. Each drawing costs one, and one that fails gives it back.";
  }
  if (refusal.code === "RATE_LIMITED") {
    const seconds = Math.ceil((refusal.retryAfterMs ?? 1000) / 1000);
    return `That was a little fast. Try again in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`;
  }
  return refusal.message;
}
