// React hooks: signing in and out through the provider, queries, mutations with hopes, actions, errors, a bad network.
import { Boundary, h, mount, useScreens } from "./page.mjs";
import {
  NotingSocket, forged, frames, freshToken, hear, looked, outcome, received, say, sent, tell, told, until,
} from "./harness.mjs";
import { preloadQuery } from "convex/nextjs";
import {
  ConvexProvider, ConvexProviderWithAuth, ConvexReactClient, useAction, useConvexAuth, useMutation, usePreloadedQuery, useQuery,
} from "convex/react";
import { anyApi as api } from "convex/server";
import { useEffect, useSyncExternalStore } from "react";

const OPTIONS = { webSocketConstructor: NotingSocket, logger: false, unsavedChangesWarning: false };
const screens = [];
const caught = [];
const asked = [];
const hands = {};
let isMember = true;
let taken;
let tokens = () => freshToken();
const providers = new Set();

async function fetchAccessToken({ forceRefreshToken }) {
  asked.push(forceRefreshToken);
  return tokens(forceRefreshToken);
}

function useAuth() {
  const subscribe = (listener) => providers.add(listener) && (() => providers.delete(listener));
  const isAuthenticated = useSyncExternalStore(subscribe, () => isMember);
  useEffect(() => {
    taken = isAuthenticated;
    looked();
  });
  return { isLoading: false, isAuthenticated, fetchAccessToken };
}

/** The provider of sign-ins says so and hands out these tokens; returns once the hooks have taken it in. */
async function becomes(member, handOut = () => freshToken()) {
  [isMember, tokens] = [member, handOut];
  asked.splice(0);
  for (const listener of providers) listener();
  await until(() => taken === member);
}

function hope(store, { text }) {
  const notes = store.getQuery(api.playground.notes, {}) ?? [];
  store.setQuery(api.playground.notes, {}, [...notes, `hoping for ${text}`]);
}

function Notes() {
  const { isAuthenticated } = useConvexAuth();
  return h("b", null, useQuery(api.playground.notes, isAuthenticated ? {} : "skip")?.length);
}

function Screen() {
  const { isLoading, isAuthenticated } = useConvexAuth();
  const who = useQuery(api.playground.whoAmI, {});
  const notes = useQuery(api.playground.notes, isAuthenticated ? {} : "skip");
  hands.write = useMutation(api.playground.noteAtGate).withOptimisticUpdate(hope);
  hands.refuse = useMutation(api.playground.noteAndRefuse).withOptimisticUpdate(hope);
  hands.ensure = useMutation(api.users.ensureUser);
  hands.act = useAction(api.playground.noteByAction);
  hands.fail = useAction(api.playground.refuse);
  const auth = isLoading ? "loading" : isAuthenticated ? "member" : "nobody";
  useScreens(screens, { auth, who: who === undefined ? "loading" : who, notes: notes ?? "loading" });
  return h("ul", null, notes?.map((text) => h("li", { key: text }, text)));
}

function Credits() {
  return h("p", null, `credits: ${useQuery(api.users.getCurrentUserCredits, {})?.credits}`);
}

function Nothing() {
  return useQuery(api.images.nope, {});
}

function Preloaded({ preloaded }) {
  return h("p", null, usePreloadedQuery(preloaded).join());
}

/** What was on the page in this place, without repetitions; the next look begins with what comes next. */
function shownOf(field) {
  const all = screens.splice(0).map((screen) => JSON.stringify(screen[field]));
  return all.filter((each, number) => each !== all[number - 1]).map((each) => JSON.parse(each));
}

function last() {
  return screens.at(-1);
}

await tell(async () => {
  const client = new ConvexReactClient(told.url, OPTIONS);
  const inside = (child) => h(ConvexProvider, { client }, child);
  const whole = [h(Screen, { key: "screen" }), h(Notes, { key: "notes" })];
  const page = mount(h(ConvexProviderWithAuth, { client, useAuth }, ...whole));
  const now = (holds) => until(() => screens.length > 0 && holds(last()));

  await now(({ notes }) => notes.length === 0);
  await until(() => received("Transition").some((each) => each.endVersion.identity === 2));
  const first = [...screens];
  say("signed in", {
    first: first[0],
    auth: shownOf("auth"),
    whos: [...new Set(first.map(({ who }) => who))],
    opening: frames.flatMap((frame) => (frame.sent ? [frame.sent.type] : [])).slice(0, 3),
    adds: added("playground:notes"),
  });

  const hoped = hands.write({ text: "a", gate: told.gate });
  await now(({ notes }) => notes.length === 1);
  say("hoping", { page: page.text() });
  await hoped;
  await now(({ notes }) => notes[0] === "a");
  say("come true", { notes: shownOf("notes"), page: page.text() });

  const refused = await outcome(hands.refuse({ text: "b" }));
  await now(({ notes }) => notes.length === 1);
  say("refused", { refused, notes: shownOf("notes").at(-1) });
  await hands.ensure({});
  screens.splice(0);
  const transitions = received("Transition").length;
  await hands.ensure({});
  say("without effect", { screens: screens.length, transitions: received("Transition").length - transitions });
  const acted = await hands.act({ text: "by action" });
  await now(({ notes }) => notes === acted || notes.includes("by action"));
  say("acted", { acted, failed: await outcome(hands.fail({})) });

  const preloaded = await preloadQuery(api.playground.notes, {}, { url: told.site, token: await freshToken() });
  const shown = mount(inside(h(Preloaded, { preloaded })));
  await shown.until((text) => text !== "");
  const broken = mount(inside(h(Boundary, { caught }, h(Nothing))));
  await broken.until((text) => text.startsWith("failed"));
  say("beside it", { preloaded: shown.text(), error: caught[0].message, named: caught[0].constructor.name });
  shown.leave();
  broken.leave();

  shownOf("notes");
  const connects = sent("Connect").length;
  say("ready");
  await hear("cut");
  await until(() => sent("Connect").length > connects);
  await now(({ notes }) => notes.includes("meanwhile"));
  say("reconnected", {
    auth: [...new Set(screens.map(({ auth }) => auth))],
    who: [...new Set(screens.map(({ who }) => who))],
    notes: shownOf("notes"),
  });
  await hear("unanswered");
  const unanswered = outcome(hands.write({ text: "unanswered", gate: told.gate }));
  say("asked");
  const answered = await unanswered;
  await now(({ notes }) => notes.at(-1) === "unanswered");
  say("answered", { answered, notes: shownOf("notes") });

  await becomes(false);
  await now(({ auth, who }) => auth === "nobody" && who === null);
  say("signed out", { token: sent("Authenticate").at(-1).tokenType, notes: last().notes });
  const credits = mount(inside(h(Boundary, { caught, attempt: 1 }, h(Credits))));
  await credits.until((text) => text.startsWith("failed"));
  const { data } = caught.at(-1);
  const tries = sent("Authenticate").length;
  await becomes(true, () => null);
  await until(() => asked.length === 2);
  await now(({ auth }) => auth === "nobody");
  say("without a token", { forced: [...asked], authenticates: sent("Authenticate").length - tries });
  await becomes(false);
  shownOf("auth");
  await becomes(true, async (forced) => (forced ? freshToken() : forged(await freshToken())));
  await now(({ auth, who }) => auth === "member" && who === told.subject);
  credits.render(inside(h(Boundary, { caught, attempt: 2 }, h(Credits))));
  await credits.until((text) => /\d/.test(text));
  say("forged once", { forced: asked.slice(0, 2), errors: received("AuthError").length, data, credits: credits.text() });

  credits.leave();
  page.leave();
  await until(() => sent("ModifyQuerySet").at(-1).modifications.some((each) => each.type === "Remove"));
  const modified = sent("ModifyQuerySet").at(-1).newVersion;
  await until(() => received("Transition").at(-1).endVersion.querySet >= modified);
  say("left", { fatal: received("FatalError").length });
  await client.close();
});

function added(path) {
  const edits = sent("ModifyQuerySet").flatMap((each) => each.modifications);
  return edits.filter((each) => each.type === "Add" && each.udfPath.startsWith(path)).length;
}
