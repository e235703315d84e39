// One photo on its way to the server: preparing, uploading, scheduling, each able to fail and be tried again.
// Invariant: the steps run in that order, and a retry repeats only the step that failed and those after it.
import { sameOrigin } from "./dom.js";
import { sentence } from "./wire.js";

const UPLOAD_DEADLINE_MS = 5 * 60_000;
const FILE_AT_FAULT = new Set(["VALIDATION", "FileTooLarge"]);
const HEIC_NAME = /\.hei[cf]$/i;
const HEIC_TYPE = /^image\/hei[cf]/i;

/** Few browsers can open these themselves; the server can. */
const isHeic = ({ name, type }) => HEIC_NAME.test(name) || HEIC_TYPE.test(type);

export function looksLikePicture(file) {
  return file.type.startsWith("image/") || isHeic(file);
}

function contentTypeOf(file) {
  if (file.type) return file.type;
  return isHeic(file) ? "image/heic" : "application/octet-stream";
}

/** The file itself is the trouble: sending it again cannot help. */
class Unusable extends Error {}

function uploadRefusal({ response }) {
  const said = response?.message ?? "The upload broke off on the server's side.";
  return FILE_AT_FAULT.has(response?.code) ? new Unusable(said) : new Error(said);
}

export class Upload {
  constructor(client, file, onChange) {
    this.client = client;
    this.file = file;
    this.onChange = onChange;
    this.preview = "";
    this.storageId = null;
    this.isHopeless = false;
    this.move("queued");
  }

  /** Runs until done, failed or cancelled; never throws. */
  async run() {
    try {
      if (this.storageId === null) {
        this.move("preparing");
        const address = await this.#prepare();
        if (this.state === "cancelled") return;
        this.move("uploading");
        this.storageId = await this.#send(address);
      }
      if (this.state === "cancelled") return;
      this.move("scheduling");
      await this.client.mutation("images:uploadAndScheduleGeneration", { storageId: this.storageId });
      this.move("done");
    } catch (error) {
      if (this.state === "cancelled") return;
      // A file the server refuses to schedule for any other reason may be fine when it is sent anew.
      if (this.state === "scheduling" && error.code !== "INSUFFICIENT_CREDITS" && error.code !== "RATE_LIMITED")
        this.storageId = null;
      this.problem = sentence(error);
      this.isHopeless = error instanceof Unusable;
      this.move("failed");
    }
  }

  cancel() {
    const request = this.request;
    this.move("cancelled");
    request?.abort();
  }

  move(state) {
    if (this.state === "cancelled") return;
    this.state = state;
    this.progress = state === "uploading" ? 0 : null;
    if ((state === "done" || state === "cancelled") && this.preview) URL.revokeObjectURL(this.preview);
    this.onChange(this);
  }

  async #prepare() {
    if (this.file.size === 0) throw new Unusable("That file is empty.");
    if (!looksLikePicture(this.file)) throw new Unusable("That is not a photo. JPEG, PNG, WebP and HEIC work.");
    if (!this.preview && !isHeic(this.file)) {
      const bitmap = await createImageBitmap(this.file).catch(() => null);
      if (!bitmap) throw new Unusable("That photo cannot be opened. It may be damaged.");
      bitmap.close();
      this.preview = URL.createObjectURL(this.file);
      this.onChange(this);
    }
    return this.client.mutation("images:generateUploadUrl", {});
  }

  #send(address) {
    return new Promise((resolve, reject) => {
      // fetch cannot tell how far an upload has come.
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", sameOrigin(address));
      request.setRequestHeader("Content-Type", contentTypeOf(this.file));
      request.responseType = "json";
      request.timeout = UPLOAD_DEADLINE_MS;
      request.upload.onprogress = ({ loaded, total }) => {
        this.progress = total > 0 ? loaded / total : 0;
        this.onChange(this);
      };
      request.onload = () => {
        const storageId = request.response?.storageId;
        if (request.status === 200 && storageId) resolve(storageId);
        else reject(uploadRefusal(request));
      };
      request.onerror = () => reject(new Error("The connection dropped during the upload."));
      request.ontimeout = () => reject(new Error("The upload took too long."));
      request.onabort = () => reject(new Error("The upload was cancelled."));
      request.onloadend = () => {
        this.request = null;
      };
      request.send(this.file);
    });
  }
}
