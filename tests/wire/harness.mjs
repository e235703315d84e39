// What the stories share: who they are, saying and hearing, a socket that takes notes, watched queries.
// A story is a program that says JSON lines; the test that started it asserts on them.
import { ConvexClient } from "convex/browser";
import { convexToJson } from "convex/values";
import { createInterface } from "node:readline";
import WebSocket from "ws";

export const told = JSON.parse(process.argv[2]);

/** One line for the test. */
export function say(said, more = {}) {
  process.stdout.write(`${JSON.stringify({ said, ...more })}\n`);
}

const words = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** The next word of the test; if one is expected it must be that. */
export async function hear(word) {
  const { value } = await words.next();
  if (word !== undefined && value !== word) throw new Error(`expected ${word}, heard ${value}`);
  return value;
}

/** Every message of every socket, in order: {sent} or {received}. */
export const frames = [];
const listeners = new Set();

function noted(frame) {
  frames.push(frame);
  looked();
}

/** Something may have changed: whoever waits looks again. */
export function looked() {
  for (const listener of listeners) listener();
}

/** The messages that were sent, of one type. */
export function sent(type) {
  return frames.flatMap((frame) => (frame.sent?.type === type ? [frame.sent] : []));
}

/** The messages that were received, of one type. */
export function received(type) {
  return frames.flatMap((frame) => (frame.received?.type === type ? [frame.received] : []));
}

/** Wait until something holds; it is looked at after every message and every update. */
export function until(holds) {
  return new Promise((resolve) => {
    const look = () => {
      const found = holds();
      if (found) {
        listeners.delete(look);
        resolve(found);
      }
    };
    listeners.add(look);
    look();
  });
}

let lastWords;

/** The next message of this type is the last that gets through on its socket. */
export function dieAfter(type) {
  lastWords = type;
}

let altered;

/** What arrives from now on is changed by this on its way, until it is taken back with `undefined`. */
export function alter(change) {
  altered = change;
}

export class NotingSocket extends WebSocket {
  #dead = false;

  constructor(...given) {
    super(...given);
    // Looked at once the client has taken the message in.
    this.on("message", (content) => setImmediate(noted, { received: JSON.parse(content.toString()) }));
  }

  emit(event, ...more) {
    if (event === "message" && this.#dead) return false;
    if (event === "message" && altered) more[0] = Buffer.from(altered(more[0].toString()));
    const taken = super.emit(event, ...more);
    if (event === "message" && JSON.parse(more[0].toString()).type === lastWords) {
      lastWords = undefined;
      this.#dead = true;
      this.terminate();
    }
    return taken;
  }

  send(content, ...more) {
    noted({ sent: JSON.parse(content) });
    return super.send(content, ...more);
  }
}

/** The published client; only its socket takes notes. */
export function connect(options = {}) {
  const client = new ConvexClient(told.url, {
    webSocketConstructor: NotingSocket,
    logger: false,
    unsavedChangesWarning: false,
    ...options,
  });
  client.subscribeToConnectionState(looked);
  return client;
}

/** A fresh token of the development issuer. */
export async function freshToken(subject = told.subject) {
  const reply = await fetch(`${told.site}/dev/token`, { method: "POST", body: JSON.stringify({ subject }) });
  return (await reply.json()).token;
}

/** The same claims with a signature that is not the issuer's. */
export function forged(token) {
  const [header, payload, signature] = token.split(".");
  return [header, payload, signature.split("").reverse().join("")].join(".");
}

/** Sign in and wait for the server's confirmation. */
export function signIn(client, fetchToken = () => freshToken()) {
  return new Promise((resolve) => client.setAuth(fetchToken, resolve));
}

/** Sign in and wait for both of a login's confirmations, so that nothing more is on its way. */
export async function settleIn(client) {
  const before = received("Transition").length;
  await signIn(client);
  await until(() => received("Transition").slice(before).some((each) => each.endVersion.identity === 2));
}

/** Subscribe; `seen` holds everything the callback was given, errors as {error}. */
export function watch(client, query, args = {}) {
  const seen = [];
  const arrived = (value) => {
    seen.push(value === undefined ? "undefined!" : value);
    looked();
  };
  const subscription = client.onUpdate(query, args, arrived, (error) => arrived({ error: error.message }));
  return {
    seen,
    subscription,
    now: () => subscription.getCurrentValue(),
    until: (holds) => until(() => seen.length > 0 && holds(seen.at(-1))),
  };
}

/** What became of a promise, in words: {value}, or what kind of error. */
export async function outcome(promise) {
  try {
    return { value: convexToJson((await promise) ?? null) };
  } catch (error) {
    return { error: error.constructor.name, message: error.message, ...("data" in error && { data: error.data }) };
  }
}

/** Tell the story and leave; whatever goes wrong ends it badly. */
export async function tell(story) {
  await story();
  process.exit(0);
}
