import type { Id } from "../_generated/dataModel.js";

/**
 * The upload flow, without a browser: what the desk shows and how far each photo is.
 *
 * Each photo goes queued, preparing, uploading, scheduling, and is gone once it is scheduled: from then on the gallery
 * shows it. A step that fails can be tried again from there. Without credits photos wait; they go on by themselves
 * when credits arrive.
 */
export type Step = "preparing" | "uploading" | "scheduling";
export type Phase = "queued" | "waiting" | Step | "failed";
export type Desk = "idle" | "dragOver" | "capturing" | "purchasing";

export type Job = {
  id: number;
  file: File;
  phase: Phase;
  /** Of the upload, 0 to 1; null while no bytes move. */
  progress: number | null;
  /** An object URL, where the browser can show the file at all. */
  preview: string | null;
  /** Set once the bytes are there: a retry does not send them again. */
  storageId: Id<"_storage"> | null;
  problem: { at: Step; sentence: string; canRetry: boolean } | null;
};

export type Uploads = { desk: Desk; credits: number | null; jobs: readonly Job[]; nextId: number };

export type UploadEvent =
  | { type: "dragEntered" }
  | { type: "dragLeft" }
  | { type: "cameraOpened" }
  | { type: "cameraClosed" }
  | { type: "buyPressed" }
  | { type: "purchaseClosed" }
  | { type: "creditsSeen"; credits: number | null }
  | { type: "filesTaken"; files: readonly File[] }
  | { type: "started"; id: number }
  | { type: "previewed"; id: number; preview: string }
  | { type: "prepared"; id: number }
  | { type: "progressed"; id: number; progress: number }
  | { type: "uploaded"; id: number; storageId: Id<"_storage"> }
  | { type: "scheduled"; id: number }
  | { type: "failed"; id: number; sentence: string; code: string | null; canRetry: boolean }
  | { type: "retried"; id: number }
  | { type: "dismissed"; id: number }
  | { type: "memberLeft" };

/** More than this at once is a slip of the hand. */
export const MOST_JOBS = 60;
export const NOTHING_YET: Uploads = { desk: "idle", credits: null, jobs: [], nextId: 1 };
const RUNNING: ReadonlySet<Phase> = new Set(["preparing", "uploading", "scheduling"]);

export const isRunning = (job: Job): boolean => RUNNING.has(job.phase);

/** The photo to go on with, when none is on its way: they go one after the other. */
export function nextJob(state: Uploads): Job | null {
  if (state.jobs.some(isRunning)) return null;
  return state.jobs.find((job) => job.phase === "queued") ?? null;
}

export function step(state: Uploads, event: UploadEvent): Uploads {
  switch (event.type) {
    case "dragEntered":
      return { ...state, desk: state.desk === "idle" ? "dragOver" : state.desk };
    case "dragLeft":
      return { ...state, desk: state.desk === "dragOver" ? "idle" : state.desk };
    case "cameraOpened":
      return { ...state, desk: "capturing" };
    case "cameraClosed":
      return { ...state, desk: state.desk === "capturing" ? "idle" : state.desk };
    case "buyPressed":
      return { ...state, desk: "purchasing" };
    case "purchaseClosed":
      return { ...state, desk: state.desk === "purchasing" ? "idle" : state.desk };
    case "creditsSeen":
      return withCredits(state, event.credits);
    case "filesTaken":
      return taken(state, event.files);
    case "started":
      return change(state, event.id, (job) =>
        job.phase === "queued" ? { ...job, phase: job.storageId === null ? "preparing" : "scheduling", problem: null } : job,
      );
    case "previewed":
      return change(state, event.id, (job) => ({ ...job, preview: event.preview }));
    case "prepared":
      return change(state, event.id, (job) => ({ ...job, phase: "uploading", progress: 0 }));
    case "progressed":
      return change(state, event.id, (job) =>
        job.phase === "uploading" ? { ...job, progress: Math.min(1, Math.max(job.progress ?? 0, event.progress)) } : job,
      );
    case "uploaded":
      return change(state, event.id, (job) => ({ ...job, phase: "scheduling", progress: null, storageId: event.storageId }));
    case "failed":
      return failed(state, event);
    case "retried":
      return change(state, event.id, (job) => ({ ...job, phase: state.credits === 0 ? "waiting" : "queued", problem: null }));
    case "scheduled":
    case "dismissed":
      return { ...state, jobs: state.jobs.filter(({ id }) => id !== event.id) };
    case "memberLeft":
      // Numbers go on, so that late news of what was stopped are nobody else's.
      return { ...NOTHING_YET, nextId: state.nextId };
  }
}

function withCredits(state: Uploads, credits: number | null): Uploads {
  if (!credits || credits === state.credits) return { ...state, credits };
  const jobs = state.jobs.map((job): Job => (job.phase === "waiting" ? { ...job, phase: "queued" } : job));
  return { ...state, credits, jobs };
}

function taken(state: Uploads, files: readonly File[]): Uploads {
  const isDry = state.credits === 0;
  const room = Math.max(0, MOST_JOBS - state.jobs.length);
  const added = files.slice(0, room).map(
    (file, index): Job => ({
      id: state.nextId + index,
      file,
      phase: isDry ? "waiting" : "queued",
      progress: null,
      preview: null,
      storageId: null,
      problem: null,
    }),
  );
  return {
    ...state,
    desk: isDry && added.length > 0 ? "purchasing" : "idle",
    jobs: [...state.jobs, ...added],
    nextId: state.nextId + added.length,
  };
}

function failed(state: Uploads, event: Extract<UploadEvent, { type: "failed" }>): Uploads {
  const job = state.jobs.find(({ id }) => id === event.id);
  if (!job || !isRunning(job)) return state;
  if (event.code === "INSUFFICIENT_CREDITS") {
    return { ...change(state, job.id, (each) => ({ ...each, phase: "waiting", progress: null })), desk: "purchasing" };
  }
  const at = job.phase as Step;
  // What refuses to be scheduled for another reason than haste may be fine when it is sent anew.
  const keeps = at === "scheduling" && event.code === "RATE_LIMITED";
  return change(state, job.id, (each) => ({
    ...each,
    phase: "failed",
    progress: null,
    storageId: keeps ? each.storageId : null,
    problem: { at, sentence: event.sentence, canRetry: event.canRetry },
  }));
}

function change(state: Uploads, id: number, to: (job: Job) => Job): Uploads {
  return { ...state, jobs: state.jobs.map((job) => (job.id === id ? to(job) : job)) };
}

/** The data model's view of the flow (section 3.5). */
export type UploadState = {
  selectedImage: File | null;
  isDragOver: boolean;
  isPreparing: boolean;
  isUploading: boolean;
  isCapturing: boolean;
  uploadError: string | null;
  showPurchaseModal: boolean;
};

export function uploadStateOf({ desk, jobs }: Uploads): UploadState {
  return {
    selectedImage: jobs.find(isRunning)?.file ?? jobs[0]?.file ?? null,
    isDragOver: desk === "dragOver",
    isPreparing: jobs.some(({ phase }) => phase === "preparing"),
    isUploading: jobs.some(({ phase }) => phase === "uploading"),
    isCapturing: desk === "capturing",
    uploadError: jobs.find(({ problem }) => problem)?.problem?.sentence ?? null,
    showPurchaseModal: desk === "purchasing",
  };
}
