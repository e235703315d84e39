// One picture, large: opened from a gallery, moved with the arrow keys, and live while it is open.
// Invariant: it shows a picture its gallery still has; when that one goes, the lightbox closes.
import { byId, ratioOf } from "./dom.js";
import { notify } from "./notices.js";
import { describe, picture, statusOf } from "./tiles.js";

export class Lightbox {
  constructor() {
    this.dialog = byId("lightbox");
    this.gallery = null;
    this.image = null;
    byId("lightbox-close").onclick = () => this.dialog.close();
    byId("lightbox-previous").onclick = () => this.#step(-1);
    byId("lightbox-next").onclick = () => this.#step(1);
    this.dialog.onclick = (event) => {
      // No value: a handler that returns false takes the click from the links inside.
      if (event.target === this.dialog) this.dialog.close();
    };
    this.dialog.onclose = () => {
      this.gallery = null;
    };
    this.dialog.onkeydown = (event) => {
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    };
  }

  open(gallery, image) {
    this.gallery = gallery;
    this.image = null;
    this.#show(image);
    if (!this.dialog.open) this.dialog.showModal();
    byId("lightbox-close").focus();
  }

  /** A gallery tells that its list changed. */
  follow(gallery) {
    if (gallery !== this.gallery || !this.dialog.open) return;
    const current = gallery.images.find(({ _id }) => _id === this.image._id);
    if (current) {
      this.#show(current);
    } else {
      this.dialog.close();
      notify("That picture was taken down.");
    }
  }

  #shown() {
    return this.gallery.images.filter((image) => statusOf(image) === "completed");
  }

  #step(by) {
    const images = this.#shown();
    const next = images[images.findIndex(({ _id }) => _id === this.image._id) + by];
    if (next) this.#show(next);
    if (by > 0 && next === images.at(-1)) this.gallery.loadMore();
  }

  #show(image) {
    const stage = byId("lightbox-stage");
    if (this.image?._id !== image._id || this.image.url !== image.url) {
      stage.replaceChildren();
      // The dialog sizes itself by the true shape here: nothing is cropped.
      const exact = image.originalWidth / image.originalHeight;
      this.dialog.style.setProperty("--ratio", Number.isFinite(exact) && exact > 0 ? exact : ratioOf(image));
      picture(stage, image);
      stage.querySelector(".tile-real")?.setAttribute("alt", describe(image));
    }
    this.image = image;
    byId("lightbox-title").textContent = describe(image);
    const images = this.#shown();
    const index = images.findIndex(({ _id }) => _id === image._id);
    byId("lightbox-previous").disabled = index <= 0;
    byId("lightbox-next").disabled = index >= images.length - 1;
    const tools = byId("lightbox-tools");
    if (this.gallery.tools) this.gallery.tools(tools, image, statusOf(image));
    else {
      tools.replaceChildren();
      delete tools.dataset.for;
    }
  }
}
