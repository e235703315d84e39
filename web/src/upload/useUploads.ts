import { useMutation } from "convex/react";
import { type Dispatch, useCallback, useEffect, useReducer, useRef } from "react";
import { api } from "../_generated/api.js";
import { refusalOf, sentence } from "../app/errors";
import { type Job, nextJob, NOTHING_YET, step, type UploadEvent, type Uploads } from "./machine";
import { lookAt, Unusable } from "./photo";
import { send } from "./send";

export type UploadControls = {
  uploads: Uploads;
  dispatch: Dispatch<UploadEvent>;
  dismiss: (job: Job) => void;
};

/** Runs the upload machine: does what the next photo needs, one photo after the other, and tells the machine. */
export function useUploads(subject: string | null): UploadControls {
  const [uploads, dispatch] = useReducer(step, NOTHING_YET);
  const generateUploadUrl = useMutation(api.images.generateUploadUrl);
  const schedule = useMutation(api.images.uploadAndScheduleGeneration);
  const running = useRef(new Map<number, AbortController>());

  const next = nextJob(uploads);
  useEffect(() => {
    if (!next || running.current.has(next.id)) return;
    const { id, file, preview } = next;
    const stop = new AbortController();
    const tell = (event: UploadEvent) => {
      if (!stop.signal.aborted) dispatch(event);
    };
    running.current.set(id, stop);
    tell({ type: "started", id });
    const run = async () => {
      let { storageId } = next;
      if (storageId === null) {
        const shown = preview ?? (await lookAt(file));
        if (shown && shown !== preview) tell({ type: "previewed", id, preview: shown });
        const address = await generateUploadUrl({});
        stop.signal.throwIfAborted();
        tell({ type: "prepared", id });
        storageId = await send(address, file, (progress) => tell({ type: "progressed", id, progress }), stop.signal);
        tell({ type: "uploaded", id, storageId });
      }
      stop.signal.throwIfAborted();
      await schedule({ storageId });
      tell({ type: "scheduled", id });
    };
    run()
      .catch((error: unknown) =>
        tell({
          type: "failed",
          id,
          sentence: error instanceof Unusable ? error.message : sentence(error),
          code: refusalOf(error)?.code ?? null,
          canRetry: !(error instanceof Unusable),
        }),
      )
      .finally(() => running.current.delete(id));
    // Once begun it goes on whatever is drawn meanwhile; only dismissing it stops it.
  }, [next?.id]);

  useEffect(() => {
    const all = running.current;
    return () => {
      for (const stop of all.values()) stop.abort();
      all.clear();
      dispatch({ type: "memberLeft" });
    };
  }, [subject]);
  usePreviewsLetGo(uploads.jobs);
  const dismiss = useCallback((job: Job) => {
    running.current.get(job.id)?.abort();
    dispatch({ type: "dismissed", id: job.id });
  }, []);
  return { uploads, dispatch, dismiss };
}

/** An object URL keeps its file in memory until it is revoked. */
function usePreviewsLetGo(jobs: readonly Job[]) {
  const kept = useRef(new Set<string>());
  useEffect(() => {
    const used = new Set(jobs.flatMap(({ preview }) => (preview ? [preview] : [])));
    for (const url of kept.current) if (!used.has(url)) URL.revokeObjectURL(url);
    kept.current = used;
  }, [jobs]);
}
