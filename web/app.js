// The page: wires the live connection, the session and the views together.
// Invariant: member queries are live exactly while someone is signed in.
import { Credits } from "./credits.js";
import { byId } from "./dom.js";
import { Drawings } from "./drawings.js";
import { Failures } from "./failures.js";
import { Gallery } from "./gallery.js";
import { Lightbox } from "./lightbox.js";
import { complain, notify, showConnection } from "./notices.js";
import { offeredName, Session } from "./session.js";
import { SyncClient } from "./sync.js";
import { Tray } from "./tray.js";

const PUBLIC_PAGE = 16;
const MEMBER_PAGE = 12;
const DEFAULT_NOTE = byId("sign-in-note").textContent;

const client = new SyncClient(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/1.48.0/sync`, {
  onState: showConnection,
  onAuthError: () => session.refused(),
  onConfirmed: () => session.confirmed(),
});
const session = new Session(client, { onSignedIn: enter, onSignedOut: leave });
const lightbox = new Lightbox();
const drawings = new Drawings(client, () => mine.draw());
const mine = new Gallery(client, {
  list: byId("gallery"),
  foot: byId("gallery-foot"),
  path: "images:getGalleryImagesPaginated",
  numItems: MEMBER_PAGE,
  endless: false,
  lightbox,
  tools: drawings.tools,
  adjust: drawings.adjust,
  empty: ["The page is blank", "Your first photo turns up here the moment you drop it."],
});
const leaked = new Gallery(client, {
  list: byId("public-gallery"),
  foot: byId("public-foot"),
  path: "images:getPublicGallery",
  numItems: PUBLIC_PAGE,
  endless: true,
  lightbox,
  empty: ["Nothing has leaked yet", "Sign in, draw something, and press Feature. It shows here at once."],
  end: "To be continued…",
});
const tray = new Tray(
  client,
  () => session.announced,
  () => {
    if (session.subject !== null) return;
    byId("sign-in-name").focus();
    notify("Sign in first, then your photo goes straight to the ink.");
  },
);
const credits = new Credits(client, () => failures.draw());
const failures = new Failures(client, credits);
let departures = [];

function enter(subject) {
  showMode("member", subject);
  // Before the account exists its balance reads 0, which would look like an empty one.
  client
    .mutation("users:ensureUser", {})
    .catch(complain)
    .then(() => session.subject === subject && credits.start(subject));
  failures.start();
  mine.start();
  departures = [
    client.subscribe("images:getGalleryImagesCount", {}, ({ value }) => {
      if (value !== undefined) byId("count").textContent = String(value);
    }),
    client.subscribe("images:hasActiveGenerations", {}, ({ value }) => {
      byId("activity").hidden = value !== true;
    }),
  ];
  tray.start();
}

function leave(because) {
  departures.forEach((depart) => depart());
  departures = [];
  tray.clear();
  mine.stop();
  failures.stop();
  credits.stop();
  byId("count").textContent = "";
  byId("activity").hidden = true;
  showMode("visitor");
  if (because) notify(because, "error");
}

function showMode(mode, subject = "") {
  document.body.dataset.mode = mode;
  byId("who").textContent = subject;
}

byId("sign-in-form").onsubmit = async (event) => {
  event.preventDefault();
  const note = byId("sign-in-note");
  const name = byId("sign-in-name").value.trim();
  if (!name) return;
  byId("sign-in").disabled = true;
  note.dataset.kind = "plain";
  note.textContent = "Signing in…";
  try {
    await session.signIn(name);
    note.textContent = DEFAULT_NOTE;
    byId("file-input").focus({ preventScroll: true });
    scrollTo(0, 0);
  } catch (error) {
    note.dataset.kind = "error";
    note.textContent =
      error.name === "TimeoutError" || error instanceof TypeError
        ? "The server did not answer. Please try again."
        : error.message;
  } finally {
    byId("sign-in").disabled = false;
  }
};
byId("to-sign-in").onclick = (event) => {
  event.preventDefault();
  byId("sign-in-name").focus();
  byId("sign-in-name").select();
};
byId("sign-out").onclick = () => {
  session.signOut();
  byId("sign-in-name").focus({ preventScroll: true });
};

// The hero's photograph leaks as far as the pointer says.
byId("photo").onpointermove = ({ clientX, currentTarget }) => {
  const { left, width } = currentTarget.getBoundingClientRect();
  const at = ((clientX - left) / width) * 460;
  currentTarget.style.setProperty("--leak", `${Math.min(Math.max(at - 12, 40), 410)}px`);
};

byId("sign-in-name").value = offeredName();
showConnection("connecting");
leaked.start();
client.connect();
if (session.subject !== null) {
  showMode("member", session.subject);
  session.resume();
}
