// A gallery on the page: a paged live query, the grid that shows it, and the foot that asks for more.
// Invariant: what is on screen stays until the server says otherwise; a lost connection removes nothing.
import { element, sprite } from "./dom.js";
import { PagedQuery } from "./pages.js";
import { TileGrid } from "./tiles.js";
import { sentence } from "./wire.js";

const AHEAD = "900px";

function emptyNote(title, text) {
  return () =>
    element(
      "li",
      "empty",
      {},
      sprite(),
      element("strong", "", { textContent: title }),
      element("span", "", { textContent: text }),
    );
}

export class Gallery {
  /** `endless` loads on scroll; otherwise a button does, so that what lies below stays reachable. */
  constructor(
    client,
    { list, foot, path, numItems, endless, lightbox, tools = null, adjust = (image) => image, empty, end },
  ) {
    Object.assign(this, { client, foot, path, numItems, endless, lightbox, tools, adjust, end });
    this.grid = new TileGrid(list, {
      tools,
      empty: emptyNote(...empty),
      onOpen: (image) => lightbox.open(this, image),
    });
    this.images = [];
    this.query = null;
    this.near = false;
    if (!endless) return;
    const watcher = new IntersectionObserver(
      ([entry]) => {
        this.near = entry.isIntersecting;
        if (this.near) this.loadMore();
      },
      { rootMargin: AHEAD },
    );
    watcher.observe(foot);
  }

  start() {
    this.stop();
    this.grid.wait();
    this.query = new PagedQuery(this.client, this.path, this.numItems, () => this.draw());
  }

  stop() {
    this.query?.close();
    this.query = null;
    this.images = [];
    this.footState = "";
    this.foot.replaceChildren();
  }

  loadMore() {
    this.query?.loadMore();
  }

  /** Shows the list as it now is; also called when an adjustment (an optimistic look) changed. */
  draw() {
    if (!this.query) return;
    const { items, isLoading, error } = this.query;
    if (items.length > 0 || !isLoading) {
      this.images = items.map(this.adjust);
      if (!error || items.length > 0) this.grid.show(this.images);
      this.lightbox.follow(this);
    }
    this.#drawFoot();
    // The foot may still be in sight after a short page, and then no crossing would tell us.
    if (this.near && !isLoading) queueMicrotask(() => this.loadMore());
  }

  #drawFoot() {
    const { isLoading, isDone, error, items } = this.query;
    let state = "more";
    if (error) state = `error ${sentence(error)}`;
    else if (isLoading) state = items.length > 0 ? "loading" : "first";
    else if (isDone) state = items.length > 0 ? "end" : "empty";
    if (state === this.footState) return;
    this.footState = state;
    this.foot.dataset.state = state.split(" ")[0];
    this.foot.replaceChildren();
    if (error) this.foot.append(element("p", "", { role: "alert", textContent: sentence(error) }));
    else if (state === "loading") this.foot.append(element("p", "", { textContent: "Turning the page…" }));
    else if (state === "end" && this.end) this.foot.append(element("p", "fin", { textContent: this.end }));
    else if (state === "more") {
      const more = element("button", "button", {
        type: "button",
        textContent: "Show more",
        dataset: { testid: "load-more" },
      });
      more.onclick = () => this.loadMore();
      this.foot.append(more);
    }
  }
}
