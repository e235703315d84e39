// usePaginatedQuery and plain pages: rows come, rows go, a page is split, the line is cut, a cursor turns out to be none.
import { h, mount, useScreens } from "./page.mjs";
import { NotingSocket, alter, freshToken, hear, received, say, sent, tell, told, until } from "./harness.mjs";
import { ConvexProvider, ConvexReactClient, usePaginatedQuery, useQuery } from "convex/react";
import { anyApi as api } from "convex/server";

const OPTIONS = { webSocketConstructor: NotingSocket, logger: false, unsavedChangesWarning: false };
const FIRST_PLAIN = { paginationOpts: { numItems: 2, cursor: null } };
const screens = [];
const plain = [];
let loadMore;

function Pages() {
  const { results, status, loadMore: more } = usePaginatedQuery(api.playground.notePages, {}, { initialNumItems: 2 });
  loadMore = more;
  useScreens(screens, { rows: results, status });
  return h("ol", null, results.map((text) => h("li", { key: text }, text)));
}

function Plain() {
  const found = useQuery(api.playground.notePages, FIRST_PLAIN);
  useScreens(plain, found?.page ?? "loading");
  return null;
}

function changes(path) {
  return sent("ModifyQuerySet").flatMap((each) => each.modifications).filter((each) => each.type === path);
}

function options() {
  return changes("Add").flatMap((each) => each.args[0].paginationOpts ?? []);
}

await tell(async () => {
  const client = new ConvexReactClient(told.url, OPTIONS);
  client.setAuth(() => freshToken());
  await until(() => received("Transition").some((each) => each.endVersion.identity === 2));
  const write = (text) => client.mutation(api.playground.note, { text });
  for (const text of ["1", "2", "3", "4", "5"]) await write(text);

  const inside = (...children) => h(ConvexProvider, { client }, ...children);
  const page = mount(inside(h(Pages, { key: "pages" }), h(Plain, { key: "plain" })));
  const shows = (rows, status) =>
    until(() => page.text() === rows && screens.at(-1).rows.join("") === rows && screens.at(-1).status === status);
  await shows("54", "CanLoadMore");
  await until(() => plain.at(-1) !== "loading");
  loadMore(2);
  await shows("5432", "CanLoadMore");
  loadMore(2);
  await shows("54321", "Exhausted");
  say("loaded", { statuses: screens.map(({ status }) => status), plain: plain.at(-1) });

  screens.splice(0);
  await write("6");
  await shows("654321", "Exhausted");
  await client.mutation(api.playground.erase, { text: "4" });
  await shows("65321", "Exhausted");
  say("changed", { plain: plain.at(-1) });
  const connects = sent("Connect").length;
  plain.splice(0);
  await hear("cut");
  await until(() => sent("Connect").length > connects);
  await shows("765321", "Exhausted");
  const again = sent("ModifyQuerySet").at(-1);
  say("reconnected", {
    screens: screens.splice(0).map(({ rows, status }) => [rows.join(""), status]),
    journals: again.modifications.filter((each) => typeof each.journal === "string").length,
    plain: plain.map((rows) => rows.join("")),
  });

  const removed = changes("Remove").length;
  await write("8");
  await write("9");
  await shows("98765321", "Exhausted");
  await until(() => changes("Remove").length > removed);
  await write("A");
  await shows("A98765321", "Exhausted");
  const ends = options().flatMap(({ endCursor }) => endCursor ?? []);
  say("split", { halves: ends.length, screens: screens.splice(0).map(({ rows, status }) => [rows.join(""), status]) });

  page.render(inside());
  await page.until((text) => text === "");
  alter((text) => text.replace(/"continueCursor":"[^"]*"/, '"continueCursor":"never given"'));
  page.render(inside(h(Pages, { key: "spoilt" })));
  await shows("A9", "CanLoadMore");
  alter(undefined);
  screens.splice(0);
  const before = new Set(options().map(({ id }) => id));
  loadMore(2);
  await until(() => options().some(({ id }) => id !== undefined && !before.has(id)));
  await shows("A9", "CanLoadMore");
  loadMore(2);
  await shows("A987", "CanLoadMore");
  const failures = received("Transition").flatMap((each) => each.modifications).filter((each) => each.type === "QueryFailed");
  say("begun anew", { failures: failures.map(({ errorData }) => errorData), refused: options().some(({ cursor }) => cursor === "never given") });
  await client.close();
});
