// The wire format: values, timestamps and errors as the Convex sync protocol writes them.
// Invariant: decode(encode(value)) equals value, for every value a function may take or return.

const SPECIAL = new Set(["$integer", "$float", "$bytes"]);

function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function eightBytes(write) {
  const bytes = new Uint8Array(8);
  write(new DataView(bytes.buffer));
  return toBase64(bytes);
}

/** A base64 little-endian u64 as a BigInt, so that timestamps compare exactly. */
export function readTs(text) {
  return new DataView(fromBase64(text).buffer).getBigUint64(0, true);
}

export function encode(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value;
    return { $float: eightBytes((view) => view.setFloat64(0, value, true)) };
  }
  if (typeof value === "bigint") return { $integer: eightBytes((view) => view.setBigInt64(0, value, true)) };
  if (value instanceof ArrayBuffer) return { $bytes: toBase64(new Uint8Array(value)) };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === "object") {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return Object.fromEntries(fields.map(([name, field]) => [name, encode(field)]));
  }
  throw new TypeError(`A ${typeof value} cannot be sent to the server.`);
}

export function decode(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(decode);
  const names = Object.keys(json);
  if (names.length === 1 && SPECIAL.has(names[0])) {
    const bytes = fromBase64(json[names[0]]);
    if (names[0] === "$bytes") return bytes.buffer;
    const view = new DataView(bytes.buffer);
    return names[0] === "$integer" ? view.getBigInt64(0, true) : view.getFloat64(0, true);
  }
  return Object.fromEntries(names.map((name) => [name, decode(json[name])]));
}

/** A function that failed on the server; `code` is set when the application said why. */
export class CallError extends Error {
  constructor(message, detail) {
    super(message);
    this.name = "CallError";
    this.detail = detail;
    this.code = detail && typeof detail === "object" ? detail.code : undefined;
  }
}

export function callError(message, failure) {
  // A present-but-null errorData is still an application error; only an absent one is not.
  if (!("errorData" in failure)) return new CallError(message, undefined);
  const detail = decode(failure.errorData);
  return new CallError(typeof detail?.message === "string" ? detail.message : message, detail);
}

/** What a person should read when this error stopped what they were doing. */
export function sentence(error) {
  switch (error?.code) {
    case "INSUFFICIENT_CREDITS":
      return "You are out of credits. Each drawing costs one, and one that fails gives it back.";
    case "RATE_LIMITED": {
      const seconds = Math.ceil((error.detail.retryAfterMs ?? 1000) / 1000);
      return `That was a little fast. Try again in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`;
    }
    case undefined:
      return error instanceof CallError ? "Something broke on our side. Please try again." : error.message;
    default:
      return error.message;
  }
}
