// A grid of picture tiles that follows a list.
// Invariant: one tile per picture in the list's order; a drawing takes over the tile of the photo it came from.
import { element, placeholderOf, ratioOf, sameOrigin, when } from "./dom.js";

const LABELS = { pending: "Waiting", processing: "Drawing…" };
const IMAGE_RETRY_MS = 2_500;

export function statusOf(image) {
  return image.isGenerated ? "completed" : (image.generationStatus ?? "completed");
}

export function describe(image) {
  const status = statusOf(image);
  if (status !== "completed") return `Photo from ${when(image.createdAt)}: ${LABELS[status] ?? status}`;
  return `Drawing from ${when(image.createdAt)}`;
}

/** The blurred stand-in with the real picture fading in over it. */
export function picture(container, image, onBroken) {
  const url = sameOrigin(image.url);
  const placeholder = placeholderOf(image);
  if (placeholder) container.append(element("img", "tile-blur", { alt: "", src: placeholder }));
  if (!url) return;
  const real = element("img", "tile-real", { alt: "", decoding: "async" });
  let tries = 0;
  real.onload = () => real.classList.add("is-in");
  real.onerror = () => {
    if (tries++ > 0) onBroken?.();
    else
      setTimeout(() => {
        real.src = url;
      }, IMAGE_RETRY_MS);
  };
  real.loading = container.closest("dialog") ? "eager" : "lazy";
  real.src = url;
  container.append(real);
}

class Tile {
  constructor(grid) {
    this.open = element("button", "tile-open", { type: "button" });
    this.label = element("span", "tile-label");
    this.flag = element("span", "tile-flag", { textContent: "In public" });
    this.tools = element("div", "tile-tools");
    this.node = element("li", "tile", { dataset: { testid: "tile" } }, this.open, this.flag, this.tools);
    this.open.onclick = () => grid.onOpen(this.image);
    this.grid = grid;
  }

  show(image) {
    const status = statusOf(image);
    const changed =
      this.image?._id !== image._id ||
      this.image.url !== image.url ||
      this.status !== status ||
      this.image.placeholderBlurDataUrl !== image.placeholderBlurDataUrl;
    this.image = image;
    this.status = status;
    Object.assign(this.node.dataset, { status, imageId: image._id });
    this.node.style.setProperty("--ratio", ratioOf(image));
    this.node.classList.toggle("is-featured", image.isFeatured === true && this.grid.tools !== null);
    this.open.setAttribute("aria-label", describe(image));
    this.open.disabled = status !== "completed";
    this.label.textContent = LABELS[status] ?? "";
    if (changed) this.#draw(image, status);
    this.grid.tools?.(this.tools, image, status);
  }

  #draw(image, status) {
    this.node.classList.remove("is-broken");
    const before = [...this.open.querySelectorAll(".tile-real.is-in, .tile-blur")];
    before.slice(0, -1).forEach((old) => old.remove());
    if (status === "completed") {
      picture(this.open, image, () => this.node.classList.add("is-broken"));
    } else {
      before.at(-1)?.remove();
      const stand = placeholderOf(image) || sameOrigin(image.url);
      if (stand) this.open.append(element("img", "tile-blur", { alt: "", src: stand }));
    }
    this.open.append(this.label);
  }
}

export class TileGrid {
  /** `tools(container, image, status)` fills a tile's buttons; null for a gallery one can only look at. */
  constructor(list, { onOpen, tools = null, empty }) {
    this.list = list;
    this.onOpen = onOpen;
    this.tools = tools;
    this.empty = empty;
    this.tiles = new Map();
    this.settled = false;
    this.wait();
  }

  wait() {
    const ratios = [0.75, 1.33, 1, 0.8, 1.5, 1];
    const ghosts = ratios.map((ratio) => {
      const ghost = element("li", "tile ghost", { "aria-hidden": "true" });
      ghost.style.setProperty("--ratio", ratio);
      return ghost;
    });
    this.list.replaceChildren(...ghosts);
    this.list.setAttribute("aria-busy", "true");
    this.tiles.clear();
    this.settled = false;
  }

  show(images) {
    if (!this.settled) this.list.replaceChildren();
    this.list.setAttribute("aria-busy", "false");
    const left = new Map(this.tiles);
    this.tiles = new Map();
    let place = this.list.firstElementChild;
    for (const image of images) {
      const key = this.#keyFor(image);
      if (this.tiles.has(key)) continue;
      let tile = left.get(key);
      left.delete(key);
      if (!tile) {
        tile = new Tile(this);
        tile.node.classList.toggle("is-new", this.settled);
      }
      this.tiles.set(key, tile);
      tile.show(image);
      while (place && [...left.values()].some((old) => old.node === place)) place = place.nextElementSibling;
      if (place === tile.node) place = place.nextElementSibling;
      else this.list.insertBefore(tile.node, place);
    }
    this.#clear([...left.values()]);
    this.settled = true;
    this.list.querySelector(".empty")?.remove();
    if (images.length === 0) this.list.append(this.empty());
  }

  #keyFor(image) {
    const key = image.originalImageId ?? image._id;
    // A second drawing of the same photo gets a tile of its own.
    return this.tiles.has(key) ? image._id : key;
  }

  #clear(tiles) {
    for (const { node } of tiles) {
      const next = node.contains(document.activeElement) && (node.nextElementSibling ?? node.previousElementSibling);
      node.remove();
      if (next) next.querySelector("button:not(:disabled)")?.focus();
    }
  }
}
