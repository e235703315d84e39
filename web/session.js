// Who is signed in: a development identity whose token is fetched, renewed before it ends, and given up on refusal.
// Invariant: a subject is remembered exactly while the page counts its visitor as signed in.

const SUBJECT_KEY = "anime-leak.subject";
const NAME_KEY = "anime-leak.name";
const TOKEN_DEADLINE_MS = 10_000;
const LEEWAY_S = 10;
const MAX_RENEWAL_MS = 20 * 24 * 3600 * 1000;
const MAX_REFUSALS = 3;
const SETTLED_MS = 10_000;
const RETRY_MS = 2_000;
const MAX_RETRY_MS = 30_000;
const MOODS = ["Brave", "Sleepy", "Lucky", "Stormy", "Gentle", "Cosmic", "Hungry", "Secret", "Electric", "Paper"];
const HEROES = ["Tanuki", "Kitsune", "Heron", "Comet", "Onigiri", "Firefly", "Typhoon", "Lantern", "Koi", "Sparrow"];

const pick = (words) => words[Math.floor(Math.random() * words.length)];

/** A name to offer: the one used here before, else a new friendly one that stays. */
export function offeredName() {
  let name = localStorage.getItem(NAME_KEY);
  if (!name) {
    name = `${pick(MOODS)} ${pick(HEROES)}`;
    localStorage.setItem(NAME_KEY, name);
  }
  return name;
}

function lifetimeSeconds(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const { iat, exp } = JSON.parse(atob(payload));
  // Measured from receipt, so that a wrong clock on this machine does not matter.
  return typeof exp === "number" ? exp - (iat ?? Date.now() / 1000) : null;
}

async function fetchToken(subject) {
  const response = await fetch("/dev/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ subject }),
    signal: AbortSignal.timeout(TOKEN_DEADLINE_MS),
  });
  if (response.ok) return (await response.json()).token;
  if (response.status >= 500) throw new Error("The server could not sign you in just now.");
  const refusal = new Error(
    response.status === 404
      ? "This server does not offer one-click sign-in."
      : "That name was refused. Try another one.",
  );
  refusal.final = true;
  throw refusal;
}

export class Session {
  constructor(client, { onSignedIn, onSignedOut }) {
    this.client = client;
    this.handlers = { onSignedIn, onSignedOut };
    this.subject = localStorage.getItem(SUBJECT_KEY);
    this.refusals = 0;
    this.announced = false;
  }

  async signIn(subject) {
    const token = await fetchToken(subject);
    localStorage.setItem(SUBJECT_KEY, subject);
    localStorage.setItem(NAME_KEY, subject);
    this.subject = subject;
    this.#adopt(token);
  }

  /** Picks a remembered visitor up again; tries until the server answers. */
  async resume(delay = RETRY_MS) {
    const subject = this.subject;
    if (subject === null) return;
    try {
      const token = await fetchToken(subject);
      if (this.subject === subject) this.#adopt(token);
    } catch (error) {
      if (this.subject !== subject) return;
      if (error.final) this.signOut(error.message);
      else this.#later(() => this.resume(Math.min(delay * 2, MAX_RETRY_MS)), delay);
    }
  }

  signOut(because = "") {
    clearTimeout(this.timer);
    clearTimeout(this.settling);
    localStorage.removeItem(SUBJECT_KEY);
    this.subject = null;
    this.announced = false;
    this.refusals = 0;
    this.handlers.onSignedOut(because);
    this.client.setToken(null);
    if (this.client.stopped) this.client.connect();
  }

  /** The server refused the token and the connection is stopped until we bring another. */
  refused() {
    clearTimeout(this.settling);
    this.client.token = null;
    this.refusals += 1;
    if (this.refusals > MAX_REFUSALS || this.subject === null) {
      this.signOut("Your session ended. Please sign in again.");
    } else {
      this.resume();
    }
  }

  confirmed() {
    clearTimeout(this.settling);
    // A token that is accepted and refused again within seconds must still count as refused.
    this.settling = setTimeout(() => {
      this.refusals = 0;
    }, SETTLED_MS);
  }

  #adopt(token) {
    this.client.setToken(token);
    if (this.client.stopped) this.client.connect();
    const seconds = lifetimeSeconds(token);
    if (seconds !== null) {
      const early = Math.max(seconds - LEEWAY_S, seconds / 2, 1);
      this.#later(() => this.resume(), Math.min(early * 1000, MAX_RENEWAL_MS));
    }
    if (this.announced) return;
    this.announced = true;
    this.handlers.onSignedIn(this.subject);
  }

  #later(action, delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(action, delay);
  }
}
