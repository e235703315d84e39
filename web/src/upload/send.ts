import type { Id } from "../_generated/dataModel.js";
import { sameOrigin } from "../image/derived";
import { contentTypeOf, Unusable } from "./photo";

const DEADLINE_MS = 5 * 60_000;
const FILE_AT_FAULT = new Set(["VALIDATION", "FileTooLarge"]);

type Answer = { storageId?: Id<"_storage">; code?: string; message?: string } | null;

/** Send the bytes. `fetch` cannot tell how far an upload has come, so this is the older way. Rejects with a sentence. */
export function send(address: string, file: File, onProgress: (part: number) => void, signal: AbortSignal): Promise<Id<"_storage">> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", sameOrigin(address) ?? address);
    request.setRequestHeader("Content-Type", contentTypeOf(file));
    request.responseType = "json";
    request.timeout = DEADLINE_MS;
    request.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    request.onload = () => {
      const answer = request.response as Answer;
      if (request.status === 200 && answer?.storageId) return resolve(answer.storageId);
      const said = answer?.message ?? "The upload broke off on the server's side.";
      reject(FILE_AT_FAULT.has(answer?.code ?? "") ? new Unusable(said) : new Error(said));
    };
    request.onerror = () => reject(new Error("The connection dropped during the upload."));
    request.ontimeout = () => reject(new Error("The upload took too long."));
    request.onabort = () => reject(new Error("The upload was cancelled."));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
