// The strip of photos that could not be drawn, each with its reason and what can be done about it.
// Invariant: a card exists exactly as long as the server lists the photo as failed.
import { byId, element, sameOrigin, when } from "./dom.js";
import { complain } from "./notices.js";

const NO_REASON = "The drawing did not work out.";

export class Failures {
  constructor(client, credits) {
    this.client = client;
    this.credits = credits;
    this.cards = new Map();
    this.failed = [];
  }

  start() {
    this.leave = this.client.subscribe("images:getFailedImages", {}, ({ value, error }) => {
      if (error) return complain(error);
      this.failed = value;
      return this.draw();
    });
  }

  stop() {
    this.leave?.();
    this.failed = [];
    this.draw();
  }

  draw() {
    byId("failed").hidden = this.failed.length === 0;
    const kept = new Map();
    for (const image of this.failed) {
      const card = this.cards.get(image._id) ?? this.#card(image);
      kept.set(image._id, card);
      card.reason.textContent = image.generationError || NO_REASON;
      const returned = this.credits.wasReturned(image._id) ? " Your credit came back." : "";
      card.note.textContent = `${when(image.createdAt)}.${returned}`;
    }
    this.cards = kept;
    const nodes = Array.from(kept.values(), ({ node }) => node);
    const list = byId("failed-list");
    if (nodes.length !== list.children.length || nodes.some((node, index) => list.children[index] !== node))
      list.replaceChildren(...nodes);
  }

  #card(image) {
    const thumb = element("div", "failure-thumb");
    if (image.url) thumb.append(element("img", "", { alt: "", loading: "lazy", src: sameOrigin(image.url) }));
    const reason = element("p", "failure-reason");
    const note = element("p", "failure-note");
    const retry = element("button", "tool", {
      type: "button",
      textContent: "Try again",
      dataset: { testid: "retry-original" },
    });
    const remove = element("button", "tool", { type: "button", textContent: "Delete", dataset: { testid: "delete" } });
    const act = async (path, args) => {
      retry.disabled = remove.disabled = true;
      try {
        await this.client.mutation(path, { imageId: image._id, ...args });
      } catch (error) {
        complain(error);
      } finally {
        retry.disabled = remove.disabled = false;
      }
    };
    retry.onclick = () => act("images:retryOriginal", {});
    remove.onclick = () => act("images:deleteImage", { includeGenerated: true });
    const text = element("div", "", {}, reason, note, element("div", "failure-row", {}, retry, remove));
    const node = element("li", "failure", { dataset: { testid: "failed-image", imageId: image._id } }, thumb, text);
    return { node, reason, note };
  }
}
