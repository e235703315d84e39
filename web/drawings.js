// What a member may do with a drawing: feature, download, delete.
// Invariant: a feature switch looks switched at once, and goes back by itself when the server refuses.
import { element, sameOrigin } from "./dom.js";
import { ask, complain, notify } from "./notices.js";

export class Drawings {
  constructor(client, onChange) {
    this.client = client;
    this.onChange = onChange;
    this.wished = new Map();
    this.adjust = (image) =>
      this.wished.has(image._id) ? { ...image, isFeatured: this.wished.get(image._id) } : image;
    this.tools = (container, image, status) => this.#fill(container, image, status);
  }

  async remove(image) {
    const drawn = image.isGenerated === true;
    const text = drawn
      ? "The drawing goes for good, and the photo it came from with it."
      : "The photo goes for good, and any drawing of it is stopped.";
    if (!(await ask(drawn ? "Delete this drawing?" : "Delete this photo?", text, "Delete"))) return;
    try {
      // The photo behind a drawing is shown nowhere, so nobody could ever delete it later.
      let outcome = { deletedTotal: 0 };
      if (drawn && image.originalImageId) outcome = await this.#delete(image.originalImageId);
      if (!outcome.deletedGenerated) await this.#delete(image._id);
      notify("Deleted.");
    } catch (error) {
      complain(error);
    }
  }

  #delete(imageId) {
    return this.client.mutation("images:deleteImage", { imageId, includeGenerated: true });
  }

  async #feature(image, isFeatured) {
    this.wished.set(image._id, isFeatured);
    this.onChange();
    try {
      await this.client.mutation("images:updateFeaturedStatus", { imageId: image._id, isFeatured });
    } catch (error) {
      complain(error);
    } finally {
      this.wished.delete(image._id);
      this.onChange();
    }
  }

  /** Buttons are kept across redraws: one that has the focus must not be replaced under the finger. */
  #fill(container, image, status) {
    if (container.dataset.for !== image._id + status) {
      container.dataset.for = image._id + status;
      container.replaceChildren(...(status === "completed" ? this.#finished() : []), this.#button("Delete", "delete"));
    }
    for (const tool of container.children) {
      const { testid } = tool.dataset;
      if (testid === "delete") tool.onclick = () => this.remove(image);
      if (testid === "feature") {
        tool.setAttribute("aria-pressed", String(image.isFeatured === true));
        tool.title = image.isFeatured ? "Take it out of the public gallery" : "Show it in the public gallery";
        tool.disabled = this.wished.has(image._id);
        tool.onclick = () => this.#feature(image, image.isFeatured !== true);
      }
      if (testid === "download") {
        tool.href = sameOrigin(image.url);
        tool.download = `anime-leak-${image._id}.${(image.contentType ?? "image/png").split("/")[1]}`;
      }
    }
  }

  #finished() {
    return [
      this.#button("Feature", "feature"),
      element("a", "tool", { textContent: "Save", dataset: { testid: "download" } }),
    ];
  }

  #button(text, testid) {
    return element("button", "tool", { type: "button", textContent: text, dataset: { testid } });
  }
}
