import { MOST_JOBS } from "./machine";
import { looksLikePicture } from "./photo";

let held: File[] = [];

/** Photos that a visitor dropped before signing in; the desk takes them over. Returns how many are kept. */
export function hold(files: Iterable<File>): number {
  held = [...files].filter(looksLikePicture).slice(0, MOST_JOBS);
  return held.length;
}

export function takeHeld(): File[] {
  const taken = held;
  held = [];
  return taken;
}
