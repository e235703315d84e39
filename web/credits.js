// The member's credits: the badge in the masthead and the ledger behind it.
// Invariant: both show only what the server's live queries say, never a local sum.
import { byId, element, when } from "./dom.js";
import { PagedQuery } from "./pages.js";
import { sentence } from "./wire.js";

const LOW = 5;
const PAGE = 20;
const OUT_OF_CREDITS = "Your credits are used up, and there is no way to get more yet.";

function variantOf(credits) {
  if (credits === 0) return "destructive";
  return credits <= LOW ? "outline" : "secondary";
}

const counted = (credits) => `${credits} ${credits === 1 ? "credit" : "credits"}`;

const KINDS = {
  trial: "A welcome from us",
  spend: "A drawing",
  refund: "A failed drawing, given back",
};

function inWords(kind) {
  if (kind in KINDS) return KINDS[kind];
  const words = String(kind)
    .replaceAll(/[_-]+/g, " ")
    .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export class Credits {
  constructor(client, onHistory) {
    this.client = client;
    this.onHistory = onHistory;
    this.badge = byId("credits");
    this.dialog = byId("ledger");
    this.badge.onclick = () => this.dialog.showModal();
    byId("ledger-close").onclick = () => this.dialog.close();
    this.dialog.onclick = (event) => event.target === this.dialog && this.dialog.close();
  }

  start() {
    this.stop();
    this.leave = this.client.subscribe("users:getCurrentUserCredits", {}, ({ value, error }) => {
      if (error) this.badge.title = sentence(error);
      else this.#showBalance(value);
    });
    this.history = new PagedQuery(this.client, "users:getCreditHistory", PAGE, () => this.#showHistory());
  }

  stop() {
    this.leave?.();
    this.history?.close();
    this.history = null;
    this.dialog.close();
    this.badge.textContent = "…";
    delete this.badge.dataset.credits;
    byId("dry").hidden = true;
  }

  /** Whether the ledger shows a credit given back for this picture. */
  wasReturned(imageId) {
    const entry = this.history?.items.find((row) => row.imageId === imageId);
    return entry !== undefined && entry.amount > 0;
  }

  #showBalance({ credits, hasFreeTrial }) {
    this.badge.textContent = counted(credits);
    Object.assign(this.badge.dataset, { variant: variantOf(credits), credits: String(credits) });
    this.badge.title = credits === 0 ? OUT_OF_CREDITS : `${counted(credits)} left. Open the history.`;
    const trial = hasFreeTrial && credits > 0 ? " Your first credits are on the house." : "";
    const advice = credits === 0 ? OUT_OF_CREDITS : "One drawing costs one credit.";
    byId("dry").textContent = OUT_OF_CREDITS;
    byId("dry").hidden = credits > 0;
    byId("ledger-now").replaceChildren(
      element("strong", "", { textContent: String(credits) }),
      `${advice} A drawing that fails gives it back.${trial}`,
    );
  }

  #showHistory() {
    if (!this.history) return;
    const { items, isDone, isLoading, error } = this.history;
    const rows = items.map((row) =>
      element(
        "li",
        "entry",
        {},
        element("span", "entry-kind", { textContent: inWords(row.kind) }),
        element("span", "entry-amount", {
          textContent: row.amount > 0 ? `+${row.amount}` : `−${-row.amount}`,
          dataset: { sign: row.amount > 0 ? "plus" : "minus" },
        }),
        element("span", "entry-when", { textContent: when(row.createdAt) }),
        element("span", "entry-after", { textContent: `${row.balanceAfter} left` }),
      ),
    );
    byId("ledger-list").replaceChildren(...rows);
    const foot = byId("ledger-foot");
    foot.replaceChildren();
    if (error) foot.append(element("p", "", { role: "alert", textContent: sentence(error) }));
    else if (isLoading) foot.append("Reading the ledger…");
    else if (!isDone) {
      const more = element("button", "button small", { type: "button", textContent: "Show more" });
      more.onclick = () => this.history.loadMore();
      foot.append(more);
    } else if (items.length === 0) foot.append("Nothing here yet.");
    this.onHistory();
  }
}
