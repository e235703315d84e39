// Photos coming in: dropped anywhere, pasted or picked; sent one after the other, each with its card in the tray.
// Invariant: one upload runs at a time, and a card stays until its photo is in the gallery or was dismissed.
import { byId, element } from "./dom.js";
import { looksLikePicture, Upload } from "./upload.js";

const MAX_WAITING = 50;
const WORDS = {
  queued: "In line",
  preparing: "Preparing…",
  uploading: "Uploading…",
  scheduling: "Handing it to the ink sprites…",
};

class Card {
  constructor(upload, { retry, dismiss }) {
    this.thumb = element("div", "job-thumb");
    this.state = element("p", "job-state", { role: "status", dataset: { testid: "upload-state" } });
    this.bar = element("progress", "", { max: 1, "aria-label": `Upload of ${upload.file.name}` });
    this.retry = element("button", "button small loud", {
      type: "button",
      textContent: "Retry",
      dataset: { testid: "retry" },
    });
    const close = element("button", "button small quiet", { type: "button", textContent: "Dismiss" });
    const text = element(
      "div",
      "job-text",
      {},
      element("p", "job-name", { textContent: upload.file.name }),
      this.state,
    );
    const row = element("div", "job-row", {}, this.bar, this.retry, close);
    this.node = element("li", "job", { dataset: { testid: "upload" } }, this.thumb, text, row);
    this.retry.onclick = retry;
    close.onclick = dismiss;
  }

  show(upload) {
    this.node.dataset.state = upload.state;
    const percent = upload.progress === null ? "" : ` ${Math.round(upload.progress * 100)} %`;
    const words = upload.state === "failed" ? upload.problem : WORDS[upload.state];
    // Only the words are announced; the numbers would never stop talking.
    if (this.state.dataset.words !== words) Object.assign(this.state.dataset, { words });
    this.state.setAttribute("aria-live", upload.state === "uploading" ? "off" : "polite");
    this.state.textContent = words + percent;
    if (upload.progress === null) this.bar.removeAttribute("value");
    else this.bar.value = upload.progress;
    this.bar.hidden = upload.state === "queued";
    this.retry.hidden = upload.state !== "failed" || upload.isHopeless;
    if (upload.preview && !this.thumb.firstChild)
      this.thumb.append(element("img", "", { alt: "", src: upload.preview }));
  }
}

export class Tray {
  /** While `mayTake()` is false (nobody is signed in yet) files wait for `start`, and `onHeld` says so. */
  constructor(client, mayTake, onHeld) {
    this.client = client;
    this.mayTake = mayTake;
    this.onHeld = onHeld;
    this.waiting = [];
    this.cards = new Map();
    this.held = [];
    this.running = false;
    this.#listen();
  }

  take(files) {
    const pictures = [...files].slice(0, MAX_WAITING);
    if (pictures.length === 0) return;
    if (!this.mayTake()) {
      this.held = pictures.filter(looksLikePicture);
      this.onHeld();
      return;
    }
    for (const file of pictures) this.#add(file);
    this.#next();
  }

  start() {
    const held = this.held;
    this.held = [];
    this.take(held);
  }

  clear() {
    this.waiting = [];
    this.held = [];
    for (const upload of [...this.cards.keys()]) upload.cancel();
  }

  #add(file) {
    const upload = new Upload(this.client, file, (changed) => this.#changed(changed));
    const card = new Card(upload, {
      retry: () => {
        this.waiting.push(upload);
        upload.move("queued");
        this.#next();
      },
      dismiss: () => upload.cancel(),
    });
    this.cards.set(upload, card);
    this.waiting.push(upload);
    card.show(upload);
    byId("tray").append(card.node);
  }

  #changed(upload) {
    const card = this.cards.get(upload);
    if (!card) return;
    if (upload.state === "done" || upload.state === "cancelled") {
      this.cards.delete(upload);
      this.waiting = this.waiting.filter((other) => other !== upload);
      card.node.remove();
    } else {
      card.show(upload);
    }
  }

  async #next() {
    if (this.running) return;
    this.running = true;
    while (this.waiting.length > 0) await this.waiting.shift().run();
    this.running = false;
  }

  #listen() {
    const input = byId("file-input");
    input.onchange = () => {
      this.take(input.files);
      input.value = "";
    };
    document.addEventListener("paste", ({ clipboardData }) => {
      if (clipboardData?.files.length > 0) this.take(clipboardData.files);
    });
    const veil = byId("drop-veil");
    const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      veil.hidden = false;
    });
    // Leaving the window is the only dragleave without a next element.
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) veil.hidden = true;
    });
    document.addEventListener("drop", (event) => {
      veil.hidden = true;
      if (!carriesFiles(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files);
    });
  }
}
