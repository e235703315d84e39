// What the page says out loud: passing notices, the question before deleting, the state of the connection.
// Invariant: a notice never blocks, a question always does, and only a lost connection shows the bar.
import { byId, element } from "./dom.js";
import { sentence } from "./wire.js";

const NOTICE_MS = 7_000;
const MAX_NOTICES = 4;

export function notify(text, kind = "plain") {
  const board = byId("notices");
  const dismiss = element("button", "", { type: "button", textContent: "Dismiss" });
  const notice = element(
    "div",
    "notice",
    { dataset: { kind, testid: "notice" } },
    element("span", "", { textContent: text }),
    dismiss,
  );
  dismiss.onclick = () => notice.remove();
  board.append(notice);
  while (board.children.length > MAX_NOTICES) board.firstElementChild.remove();
  setTimeout(() => notice.remove(), NOTICE_MS);
}

export function complain(error) {
  notify(sentence(error), "error");
}

/** Resolves to true when the person says yes; Escape and "Keep it" are a no. */
export function ask(title, text, yes) {
  const dialog = byId("question");
  byId("question-title").textContent = title;
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  return new Promise((resolve) => {
    dialog.returnValue = "";
    byId("question-yes").onclick = () => dialog.close("yes");
    byId("question-no").onclick = () => dialog.close("");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
    byId("question-no").focus();
  });
}

export function showConnection(state) {
  const bar = byId("connection");
  bar.dataset.state = state;
  bar.hidden = state === "open" || state === "connecting";
  bar.replaceChildren();
  if (state === "reconnecting") {
    bar.append("Reconnecting… Everything you see stays, and nothing you did is lost.");
  } else if (state === "fatal") {
    const reload = element("button", "button small", { type: "button", textContent: "Reload" });
    reload.onclick = () => location.reload();
    bar.append("The server no longer understands this page.", reload);
  }
}
