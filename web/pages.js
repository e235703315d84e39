// A paginated query as one growing live list: every page its own subscription, abutting the one before it.
// Invariant: page n+1 starts at page n's continueCursor, so the list has neither gaps nor repeats.

function invalidCursor(error) {
  return error.detail?.paginationError === "InvalidCursor" || error.message.includes("InvalidCursor");
}

export class PagedQuery {
  constructor(client, path, numItems, onChange) {
    this.client = client;
    this.path = path;
    this.numItems = numItems;
    this.onChange = onChange;
    this.pages = [];
    this.error = null;
    this.#append(null);
  }

  get items() {
    return this.pages.flatMap((page) => page.items);
  }

  get isLoading() {
    return this.pages.at(-1).result === null && this.error === null;
  }

  get isDone() {
    return this.pages.at(-1).result?.isDone === true;
  }

  loadMore() {
    const last = this.pages.at(-1);
    if (last.result === null || last.result.isDone || this.error) return;
    this.#append(last.result.continueCursor);
    this.onChange(this);
  }

  close() {
    this.pages.forEach((page) => this.#drop(page));
  }

  #append(cursor) {
    this.pages.push(this.#open(cursor));
  }

  #open(cursor, endCursor) {
    const page = { cursor, items: [], result: null, halves: null };
    const paginationOpts = { numItems: this.numItems, cursor, endCursor };
    page.close = this.client.subscribe(this.path, { paginationOpts }, (outcome) => this.#settle(page, outcome));
    return page;
  }

  #drop(page) {
    page.close();
    page.halves?.forEach((half) => this.#drop(half));
  }

  #settle(page, { value, error }) {
    if (error) {
      if (invalidCursor(error) && page.cursor !== null) this.#restart();
      else this.error = error;
    } else {
      this.error = null;
      page.result = value;
      page.items = value.page;
      this.#join();
      if (this.pages.includes(page)) {
        this.#followOn(page);
        this.#split(page);
      }
    }
    this.onChange(this);
  }

  /** A page that was cut anew (a lost journal) moves the start of the one after it. */
  #followOn(page) {
    const next = this.pages[this.pages.indexOf(page) + 1];
    if (!next || next.cursor === page.result.continueCursor) return;
    const index = this.pages.indexOf(next);
    if (page.result.isDone) {
      this.pages.splice(index).forEach((stale) => this.#drop(stale));
    } else {
      const fresh = this.#open(page.result.continueCursor);
      fresh.items = next.items;
      this.pages.splice(index, 1, fresh);
      this.#drop(next);
    }
  }

  /** A first page grows with every new row; past twice its size it continues as two. */
  #split(page) {
    const { splitCursor, pageStatus, continueCursor } = page.result;
    const tooLong = pageStatus === "SplitRequired" || page.items.length > 2 * this.numItems;
    if (!splitCursor || !tooLong || page.halves) return;
    page.halves = [this.#open(page.cursor, splitCursor), this.#open(splitCursor, continueCursor)];
  }

  #join() {
    for (const page of this.pages) {
      if (!page.halves?.every((half) => half.result)) continue;
      this.pages.splice(this.pages.indexOf(page), 1, ...page.halves);
      page.close();
    }
  }

  #restart() {
    const shown = this.items;
    this.pages.forEach((page) => this.#drop(page));
    this.pages = [];
    this.#append(null);
    this.pages[0].items = shown;
  }
}
