import { expect, test } from "vitest";
import type { Id } from "../_generated/dataModel.js";
import { MOST_JOBS, nextJob, NOTHING_YET, step, type UploadEvent, type Uploads, uploadStateOf } from "./machine";

const photo = new File(["x"], "cat.jpg", { type: "image/jpeg" });
const storageId = "kept" as Id<"_storage">;
const after = (events: UploadEvent[], from: Uploads = NOTHING_YET) => events.reduce(step, from);
const sending: UploadEvent[] = [{ type: "filesTaken", files: [photo] }, { type: "started", id: 1 }, { type: "prepared", id: 1 }];
const sent: UploadEvent[] = [...sending, { type: "uploaded", id: 1, storageId }];

test("a photo goes through its steps in order and leaves the desk when it is scheduled", () => {
  const phases = sent.map((_, count) => after(sent.slice(0, count + 1)).jobs[0]?.phase);
  expect(phases).toEqual(["queued", "preparing", "uploading", "scheduling"]);
  expect(after([...sent, { type: "scheduled", id: 1 }]).jobs).toEqual([]);
});

test("one photo goes at a time, the others keep their order", () => {
  const state = after([{ type: "filesTaken", files: [photo, photo, photo] }, { type: "started", id: 1 }]);
  expect(nextJob(state)).toBeNull();
  expect(nextJob(step(state, { type: "dismissed", id: 1 }))?.id).toBe(2);
});

test("progress never goes back and never passes the end", () => {
  const seen = [0.5, 0.3, 7].map((progress) => ({ type: "progressed", id: 1, progress }) as const);
  expect(after([...sending, ...seen.slice(0, 2)]).jobs[0]?.progress).toBe(0.5);
  expect(after([...sending, ...seen]).jobs[0]?.progress).toBe(1);
});

test("a retry repeats the step that failed; only haste lets the bytes stay", () => {
  const fail = (code: string | null) => ({ type: "failed", id: 1, sentence: "No.", code, canRetry: true }) as const;
  const retry: UploadEvent[] = [{ type: "retried", id: 1 }, { type: "started", id: 1 }];
  const broken = after([...sent, fail(null)]);
  expect(broken.jobs[0]).toMatchObject({ phase: "failed", problem: { at: "scheduling", sentence: "No.", canRetry: true } });
  expect(uploadStateOf(broken)).toMatchObject({ uploadError: "No.", selectedImage: photo });
  expect(after(retry, broken).jobs[0]?.phase).toBe("preparing");
  expect(after([...sent, fail("RATE_LIMITED"), ...retry]).jobs[0]?.phase).toBe("scheduling");
});

test("without credits photos wait, the purchase opens, and credits send them on from where they were", () => {
  const refused = after([...sent, { type: "failed", id: 1, sentence: "", code: "INSUFFICIENT_CREDITS", canRetry: true }]);
  expect(refused.jobs[0]).toMatchObject({ phase: "waiting", storageId });
  expect(uploadStateOf(refused).showPurchaseModal).toBe(true);
  const richer = after([{ type: "creditsSeen", credits: 0 }, { type: "creditsSeen", credits: 420 }, { type: "started", id: 1 }], refused);
  expect(richer.jobs[0]?.phase).toBe("scheduling");
  const dry = after([{ type: "creditsSeen", credits: 0 }, { type: "filesTaken", files: [photo] }]);
  expect([dry.desk, dry.jobs[0]?.phase, nextJob(dry)]).toEqual(["purchasing", "waiting", null]);
});

test("dragging and the camera do not disturb each other, and a drop ends the dragging", () => {
  expect(after([{ type: "cameraOpened" }, { type: "dragEntered" }, { type: "dragLeft" }]).desk).toBe("capturing");
  expect(after([{ type: "dragEntered" }, { type: "filesTaken", files: [photo] }]).desk).toBe("idle");
});

test("the desk is bounded, and news of a dismissed photo are ignored", () => {
  expect(after([{ type: "filesTaken", files: Array(MOST_JOBS + 9).fill(photo) }]).jobs).toHaveLength(MOST_JOBS);
  const gone = after([...sending, { type: "dismissed", id: 1 }]);
  expect(step(gone, { type: "failed", id: 1, sentence: "", code: "INSUFFICIENT_CREDITS", canRetry: true })).toEqual(gone);
});
