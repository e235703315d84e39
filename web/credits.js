// The member's credits: the badge in the masthead and the drawer behind it, with the ledger and what was paid.
// Invariant: all of it shows only what the server's live queries say, never a local sum.
import { byId, element, when } from "./dom.js";
import { PagedQuery } from "./pages.js";
import { Purchase } from "./purchase.js";
import { sentence } from "./wire.js";

const LOW = 5;
const PAGE = 20;
const PAYMENTS_PAGE = 5;
const OUT_OF_CREDITS = "Your credits are used up.";

function variantOf(credits) {
  if (credits === 0) return "destructive";
  return credits <= LOW ? "outline" : "secondary";
}

const counted = (credits) => `${credits} ${credits === 1 ? "credit" : "credits"}`;

const KINDS = {
  trial: "A welcome from us",
  spend: "A drawing",
  refund: "A failed drawing, given back",
  order: "Bought",
  order_refund: "A refunded purchase",
  adjustment: "Put right by us",
};
const PAYMENTS = { paid: "Paid", refunded: "Paid and refunded", failed: "Not paid" };
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });

function inWords(kind) {
  if (kind in KINDS) return KINDS[kind];
  const words = String(kind)
    .replaceAll(/[_-]+/g, " ")
    .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function row(kind, amount, at, after) {
  return element(
    "li",
    "entry",
    {},
    element("span", "entry-kind", { textContent: kind }),
    element("span", "entry-amount", {
      textContent: amount > 0 ? `+${amount}` : `−${-amount}`,
      dataset: { sign: amount > 0 ? "plus" : "minus" },
    }),
    element("span", "entry-when", { textContent: when(at) }),
    element("span", "entry-after", { textContent: after }),
  );
}

function drawFoot(foot, query, { loading = "", empty = "" }) {
  foot.replaceChildren();
  if (query.error) foot.append(element("p", "", { role: "alert", textContent: sentence(query.error) }));
  else if (query.isLoading) foot.append(loading);
  else if (!query.isDone) {
    const more = element("button", "button small", { type: "button", textContent: "Show more" });
    more.onclick = () => query.loadMore();
    foot.append(more);
  } else if (query.items.length === 0) foot.append(empty);
}

export class Credits {
  constructor(client, onHistory) {
    this.client = client;
    this.onHistory = onHistory;
    this.badge = byId("credits");
    this.dialog = byId("ledger");
    const open = () => this.dialog.open || this.dialog.showModal();
    const newestOrder = () => this.history?.items.find(({ kind }) => kind === "order");
    this.purchase = new Purchase(client, { newestOrder, open });
    this.badge.onclick = byId("get-credits").onclick = open;
    byId("ledger-close").onclick = () => this.dialog.close();
    this.dialog.onclick = (event) => {
      // No value: a handler that returns false takes the click from the links inside.
      if (event.target === this.dialog) this.dialog.close();
    };
  }

  start(subject) {
    this.stop();
    this.leave = this.client.subscribe("users:getCurrentUserCredits", {}, ({ value, error }) => {
      if (error) this.badge.title = sentence(error);
      else this.#showBalance(value);
    });
    this.history = new PagedQuery(this.client, "users:getCreditHistory", PAGE, () => this.#showHistory());
    this.payments = new PagedQuery(this.client, "payments:getPaymentHistory", PAYMENTS_PAGE, () =>
      this.#showPayments(),
    );
    this.purchase.start(subject);
  }

  stop() {
    this.leave?.();
    this.purchase.stop();
    this.history?.close();
    this.payments?.close();
    this.history = this.payments = null;
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
    this.badge.title =
      credits === 0 ? `${OUT_OF_CREDITS} Get more.` : `${counted(credits)} left. Open the history, or get more.`;
    const trial = hasFreeTrial && credits > 0 ? " Your first credits are on the house." : "";
    const advice = credits === 0 ? OUT_OF_CREDITS : "One drawing costs one credit.";
    byId("dry").hidden = credits > 0;
    byId("ledger-now").replaceChildren(
      element("strong", "", { textContent: String(credits) }),
      `${advice} A drawing that fails gives it back.${trial}`,
    );
  }

  #showHistory() {
    if (!this.history) return;
    const rows = this.history.items.map(({ kind, amount, createdAt, balanceAfter }) =>
      row(inWords(kind), amount, createdAt, `${balanceAfter} left`),
    );
    byId("ledger-list").replaceChildren(...rows);
    drawFoot(byId("ledger-foot"), this.history, { loading: "Reading the ledger…", empty: "Nothing here yet." });
    this.onHistory();
    this.purchase.look();
  }

  #showPayments() {
    if (!this.payments) return;
    const { items, error } = this.payments;
    const rows = items.map(({ status, amountCents, creditsGranted, createdAt }) =>
      row(`${PAYMENTS[status] ?? inWords(status)} ${dollars.format(amountCents / 100)}`, creditsGranted, createdAt, "credits"),
    );
    byId("payments").hidden = rows.length === 0 && !error;
    byId("payments-list").replaceChildren(...rows);
    drawFoot(byId("payments-foot"), this.payments, {});
  }
}
