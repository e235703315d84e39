// The live connection: every query and mutation of the page over one WebSocket (Convex sync protocol).
// Invariant: results move only by a Transition that starts exactly where the previous one on that socket ended.
import { callError, decode, encode, readTs } from "./wire.js";

const INACTIVITY_MS = 60_000;
const BACKOFF_MS = 1_000;
const OVERLOAD_BACKOFF_MS = 3_000;
const CLIENT_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 16_000;
const OVERLOADED = [
  "SubscriptionsWorkerFullError",
  "TooManyConcurrentRequests",
  "CommitterFullError",
  "AwsTooManyRequestsException",
  "ExecuteFullError",
  "SystemTimeoutError",
  "ExpiredInQueue",
  "VectorIndexTooLarge",
  "SearchIndexTooLarge",
  "TooManyWritesInTimePeriod",
];
const START = Object.freeze({ querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" });

function uuid() {
  // randomUUID exists in secure contexts only, and a development server on a LAN address is not one.
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
  const text = hex.join("");
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-a${text.slice(17, 20)}-${text.slice(20)}`;
}

export class SyncClient {
  constructor(url, { onState, onAuthError, onConfirmed }) {
    this.url = url;
    this.handlers = { onState, onAuthError, onConfirmed };
    this.sessionId = uuid();
    this.queries = new Map();
    this.requests = new Map();
    this.nextQueryId = 0;
    this.nextRequestId = 0;
    this.connectionCount = 0;
    this.lastCloseReason = "InitialConnect";
    this.maxObserved = null;
    this.token = null;
    this.retries = 0;
    this.unsentQueries = [];
    this.stopped = false;
    addEventListener("online", () => this.#skipWait());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#skipWait());
  }

  connect() {
    if (this.state === "fatal") return;
    clearTimeout(this.waiting);
    this.waiting = null;
    this.stopped = false;
    this.version = START;
    this.querySetVersion = 0;
    this.identityVersion = 0;
    this.chunks = [];
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.#watchSilence();
    socket.onopen = () => socket === this.socket && this.#greet();
    socket.onmessage = (event) => socket === this.socket && this.#receive(event.data);
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      const reason = event.reason || `closed with code ${event.code}`;
      const overloaded = OVERLOADED.some((prefix) => event.reason.startsWith(prefix));
      this.#lose(reason, overloaded ? OVERLOAD_BACKOFF_MS : BACKOFF_MS);
    };
  }

  /** Calls `listener({value})` or `listener({error})` now and at every change; returns the way out. */
  subscribe(path, args, listener) {
    const queryId = this.nextQueryId++;
    const query = { queryId, path, args: encode(args), listener, journal: null };
    this.queries.set(queryId, query);
    this.#changeQuerySet({ type: "Add", queryId, udfPath: path, args: [query.args] });
    return () => {
      if (this.queries.delete(queryId)) this.#changeQuerySet({ type: "Remove", queryId });
    };
  }

  /** Resolves once the subscribed results on screen include the mutation's effects. */
  mutation(path, args) {
    const requestId = this.nextRequestId++;
    const message = { type: "Mutation", requestId, udfPath: path, args: [encode(args)] };
    return new Promise((resolve, reject) => {
      this.requests.set(requestId, { message, resolve, reject, answer: null });
      this.#flushQueries();
      this.#send(message);
    });
  }

  /** Signs the connection in with a token, or out with null. */
  setToken(token) {
    this.token = token;
    this.#flushQueries();
    if (this.#isOpen()) this.#authenticate();
  }

  /** Closes for good or until `connect`; nothing is lost, unanswered mutations go out again. */
  stop() {
    clearTimeout(this.silence);
    clearTimeout(this.waiting);
    this.stopped = true;
    this.lastCloseReason = null;
    const socket = this.socket;
    this.socket = null;
    this.unsentQueries = [];
    socket?.close(1000);
  }

  #isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  #send(message) {
    if (this.#isOpen()) this.socket.send(JSON.stringify(message));
  }

  #greet() {
    const connect = {
      type: "Connect",
      sessionId: this.sessionId,
      connectionCount: this.connectionCount++,
      lastCloseReason: this.lastCloseReason,
      clientTs: Date.now(),
    };
    if (this.maxObserved) connect.maxObservedTimestamp = this.maxObserved;
    this.#send(connect);
    if (this.token !== null) this.#authenticate();
    this.unsentQueries = Array.from(this.queries.values(), ({ queryId, path, args, journal }) => ({
      type: "Add",
      queryId,
      udfPath: path,
      args: [args],
      ...(journal === null ? {} : { journal }),
    }));
    this.#flushQueries(true);
    for (const { message } of this.requests.values()) this.#send(message);
  }

  #authenticate() {
    const baseVersion = this.identityVersion++;
    if (this.token === null) this.#send({ type: "Authenticate", baseVersion, tokenType: "None" });
    else this.#send({ type: "Authenticate", baseVersion, tokenType: "User", value: this.token });
  }

  #changeQuerySet(modification) {
    // Before the socket opens there is nothing to change: the greeting adds whatever is live by then.
    if (!this.#isOpen()) return;
    this.unsentQueries.push(modification);
    queueMicrotask(() => this.#flushQueries());
  }

  #flushQueries(evenEmpty = false) {
    if (!this.#isOpen() || (this.unsentQueries.length === 0 && !evenEmpty)) return;
    const baseVersion = this.querySetVersion++;
    const modifications = this.unsentQueries;
    this.unsentQueries = [];
    this.#send({ type: "ModifyQuerySet", baseVersion, newVersion: baseVersion + 1, modifications });
  }

  #receive(text) {
    this.#watchSilence();
    const message = JSON.parse(text);
    if (message.type === "TransitionChunk") return this.#collect(message);
    if (message.type !== "Ping") this.chunks = [];
    if (message.type === "Transition") this.#transition(message);
    else if (message.type === "MutationResponse") this.#answer(message);
    else if (message.type === "AuthError") this.#refused(message);
    else if (message.type === "FatalError") {
      this.stop();
      this.#report("fatal");
      console.error("The server ended the session:", message.error);
    }
  }

  #collect({ chunk, partNumber, totalParts, transitionId }) {
    const first = this.chunks[0];
    const fits =
      partNumber === this.chunks.length &&
      (!first || (first.transitionId === transitionId && first.totalParts === totalParts));
    if (!fits) return this.#lose("TransitionChunkOutOfOrder", CLIENT_BACKOFF_MS);
    this.chunks.push({ chunk, totalParts, transitionId });
    if (this.chunks.length < totalParts) return undefined;
    const whole = JSON.parse(this.chunks.map((part) => part.chunk).join(""));
    this.chunks = [];
    if (whole.type !== "Transition") return this.#lose("TransitionChunkMismatch", CLIENT_BACKOFF_MS);
    return this.#transition(whole);
  }

  #transition({ startVersion, endVersion, modifications }) {
    const { querySet, identity, ts } = this.version;
    if (startVersion.querySet !== querySet || startVersion.identity !== identity || startVersion.ts !== ts) {
      return this.#lose("StartVersionMismatch", CLIENT_BACKOFF_MS);
    }
    this.version = endVersion;
    this.#observe(endVersion.ts);
    const changed = [];
    for (const modification of modifications) {
      const query = this.queries.get(modification.queryId);
      if (!query || modification.type === "QueryRemoved") continue;
      query.journal = modification.journal ?? null;
      const failed = modification.type === "QueryFailed";
      const outcome = failed
        ? { error: callError(modification.errorMessage, modification) }
        : { value: decode(modification.value) };
      changed.push([query, outcome]);
    }
    this.retries = 0;
    this.#report("open");
    if (endVersion.identity > identity && endVersion.identity >= this.identityVersion) this.handlers.onConfirmed();
    for (const [query, outcome] of changed) {
      // A listener may have dropped a later query of the same transition.
      if (this.queries.has(query.queryId)) this.#tell(query.listener, outcome);
    }
    const reached = readTs(endVersion.ts);
    for (const [requestId, request] of this.requests) {
      if (!request.answer || readTs(request.answer.ts) > reached) continue;
      this.requests.delete(requestId);
      request.resolve(decode(request.answer.result));
    }
    return undefined;
  }

  #answer(message) {
    const request = this.requests.get(message.requestId);
    if (!request) return;
    if (message.success) {
      this.#observe(message.ts);
      request.answer = message;
    } else {
      this.requests.delete(message.requestId);
      request.reject(callError(message.result, message));
    }
  }

  #refused({ error, baseVersion, authUpdateAttempted }) {
    if (baseVersion + 1 < this.identityVersion) return;
    if (!authUpdateAttempted && this.version.identity < this.identityVersion) return;
    this.stop();
    this.#report("reconnecting");
    this.handlers.onAuthError(error);
  }

  #observe(ts) {
    if (this.maxObserved === null || readTs(ts) > readTs(this.maxObserved)) this.maxObserved = ts;
  }

  #tell(listener, outcome) {
    try {
      listener(outcome);
    } catch (error) {
      // One view that cannot draw must not cost the others their results.
      reportError(error);
    }
  }

  #watchSilence() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.#lose("InactiveServer", CLIENT_BACKOFF_MS), INACTIVITY_MS);
  }

  #lose(reason, firstDelay) {
    this.stop();
    this.stopped = false;
    this.lastCloseReason = reason;
    this.#report("reconnecting");
    const delay = Math.min(firstDelay * 2 ** this.retries++, MAX_BACKOFF_MS) * (0.5 + Math.random());
    this.waiting = setTimeout(() => this.connect(), delay);
  }

  #skipWait() {
    if (this.waiting && !this.stopped) this.connect();
  }

  #report(state) {
    if (this.state === state) return;
    this.state = state;
    this.handlers.onState(state);
  }
}
