// Every value there and back again, over the socket and over HTTP, through queries, mutations and actions.
import { connect, outcome, received, say, tell, told, until } from "./harness.mjs";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { isDeepStrictEqual } from "node:util";

const VALUES = {
  null: null,
  yes: true,
  zero: 0,
  negativeZero: -0,
  nan: NaN,
  infinity: Infinity,
  negativeInfinity: -Infinity,
  tenth: 0.1,
  tiny: 5e-324,
  huge: Number.MAX_VALUE,
  safe: Number.MAX_SAFE_INTEGER,
  beyond: 2 ** 60,
  int64: 123n,
  least: -(2n ** 63n),
  most: 2n ** 63n - 1n,
  bytes: Uint8Array.from({ length: 256 }, (_, number) => number).buffer,
  noBytes: new ArrayBuffer(0),
  text: "Zażółć 🦊 \u0000 \u2028 \"\\",
  empty: "",
  list: [1, [2n, [null, -0]], {}],
  none: [],
  object: { a: { b: { c: [NaN] } }, " ~": 1 },
  nullInside: { gone: null, kept: 1 },
};

await tell(async () => {
  const client = connect();
  const http = new ConvexHttpClient(told.url, { logger: false });
  const ways = {
    query: (value) => client.query(api.playground.echo, { value }),
    mutation: (value) => client.mutation(api.playground.echoByMutation, { value }),
    action: (value) => client.action(api.playground.echoByAction, { value }),
    httpQuery: (value) => http.query(api.playground.echo, { value }),
    httpMutation: (value) => http.mutation(api.playground.echoByMutation, { value }),
    httpAction: (value) => http.action(api.playground.echoByAction, { value }),
  };
  const changed = [];
  const compare = async (way, name) => {
    const back = await ways[way](VALUES[name]).catch((error) => error);
    if (!isDeepStrictEqual(back, VALUES[name])) changed.push(`${name} by ${way}: ${String(back)}`);
  };
  await Promise.all(Object.keys(ways).flatMap((way) => Object.keys(VALUES).map((name) => compare(way, name))));
  say("echoed", { changed });
  const made = await client.query(api.playground.curiosities, {});
  const expected = {
    bytes: VALUES.bytes, infinity: Infinity, nan: NaN, negativeInfinity: -Infinity, negativeZero: -0, ten: 10, tenth: 0.1,
  };
  say("made by the server", { right: isDeepStrictEqual(made, expected) });
  say("as numbers", {
    half: await outcome(client.query(api.playground.half, { of: 3 })),
    infinity: await outcome(client.query(api.playground.half, { of: Infinity })),
    nan: await outcome(client.query(api.playground.half, { of: NaN })),
    int64: await outcome(client.query(api.playground.half, { of: 3n })),
    negativeZero: Object.is(await client.query(api.playground.half, { of: -0 }), -0),
  });
  const megabytes = "x".repeat(3 << 20);
  const same = (await client.query(api.playground.echo, { value: megabytes })) === megabytes;
  const long = await client.query(api.playground.long, { length: 6 << 20 });
  await until(() => received("TransitionChunk").length > 1);
  say("large", {
    same,
    long: long.length,
    parts: received("TransitionChunk").length,
  });
  await client.close();
});
