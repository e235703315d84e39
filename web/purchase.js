// Buying credits: asking for a payment page, going there in this tab, and what is told after coming back.
// Invariant: that a payment arrived, and what it gave, is only ever said from the server's live queries.
import { byId } from "./dom.js";
import { notify } from "./notices.js";
import { sentence } from "./wire.js";

const KEPT = "anime-leak.purchase";
const RETURN_MARK = "checkout_id";
const WORDS = {
  idle: "The payment page names the pack and its price before anything is paid.",
  preparing: "Preparing your payment page…",
  leaving: "Off to the payment page…",
  open: "Your payment page is still open.",
  confirming: "Waiting for the payment to be confirmed…",
};
const LINKS = { open: "Go on to pay", completed: "See the receipt" };
const BUTTONS = { open: "Start over", completed: "Buy more", failed: "Try again" };
const BUSY = new Set(["preparing", "leaving", "confirming"]);

/** What this tab remembers of a purchase while it is away on the payment page. */
function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

/** Did the payment page send us back? Asked once: the mark leaves the address. */
function wasSentBack() {
  const address = new URL(location.href);
  if (!address.searchParams.has(RETURN_MARK)) return false;
  address.searchParams.delete(RETURN_MARK);
  history.replaceState(null, "", address);
  return true;
}

export class Purchase {
  constructor(client, { newestOrder, open }) {
    this.client = client;
    this.newestOrder = newestOrder;
    this.open = open;
    this.isBack = wasSentBack();
    this.pending = null;
    this.button = byId("buy");
    this.button.onclick = () => this.#buy();
    // The browser's Back can bring the page as it was left.
    addEventListener("pageshow", ({ persisted }) => persisted && this.state === "leaving" && this.#show("open"));
  }

  start(subject) {
    this.stop();
    this.subject = subject;
    const pending = kept();
    if (pending?.subject === subject) this.#follow(pending);
    if (this.pending && this.isBack) this.open();
    this.isBack = false;
  }

  stop() {
    this.#drop();
    this.subject = null;
    this.#show("idle");
  }

  /** To be called when the ledger has changed: the words wait for it. */
  look() {
    if (!this.pending || this.session?.status !== "completed") return;
    const order = this.newestOrder();
    if (!order || order.orderId === this.pending.before) return;
    this.#finish("completed", `Payment received: +${order.amount} credits.`, "plain");
  }

  async #buy() {
    const subject = this.subject;
    const before = this.newestOrder()?.orderId ?? null;
    this.#drop();
    this.#show("preparing");
    try {
      const successUrl = `${location.origin}${location.pathname}?${RETURN_MARK}={CHECKOUT_ID}`;
      const sessionId = await this.client.mutation("payments:initiateCheckout", { successUrl });
      if (this.subject !== subject) return;
      const pending = { subject, sessionId, before };
      sessionStorage.setItem(KEPT, JSON.stringify(pending));
      this.#follow(pending, true);
    } catch (error) {
      if (this.subject === subject) this.#show("failed", sentence(error));
    }
  }

  #follow(pending, mayLeave = false) {
    this.pending = { ...pending, mayLeave };
    this.leave = this.client.subscribe("payments:getCheckoutSession", { sessionId: pending.sessionId }, (outcome) =>
      this.#hear(outcome),
    );
    if (!mayLeave && this.isBack) this.#show("confirming");
  }

  #hear({ value, error }) {
    if (error) return this.#finish("failed", sentence(error), "error");
    if (value === null) return this.#finish("idle");
    this.session = value;
    if (value.url) byId("to-payment").href = value.url;
    if (value.status === "failed") {
      return this.#finish("failed", value.error || "The payment did not go through. Nothing was charged.", "error");
    }
    if (value.status === "completed") {
      this.#show("confirming");
      return this.look();
    }
    if (!value.url) return this.#show("preparing");
    if (!this.pending.mayLeave) return this.state === "confirming" ? undefined : this.#show("open");
    this.pending.mayLeave = false;
    this.#show("leaving");
    return location.assign(value.url);
  }

  #finish(state, words, kind) {
    this.#drop();
    sessionStorage.removeItem(KEPT);
    this.#show(state, words);
    if (words && !byId("ledger").open) notify(words, kind);
  }

  #drop() {
    this.leave?.();
    this.leave = this.pending = this.session = null;
  }

  #show(state, words = WORDS[state]) {
    this.state = state;
    byId("shop").dataset.state = state;
    byId("shop-words").textContent = words;
    this.button.textContent = BUTTONS[state] ?? "Buy credits";
    this.button.disabled = BUSY.has(state);
    byId("to-payment").hidden = !(state in LINKS);
    byId("to-payment").textContent = LINKS[state] ?? "";
  }
}
