// The line to the server: one request, and one request until it succeeds.

const PATIENCE = 15_000; // ms until a request without an answer counts as lost
const LONGEST_WAIT = 30_000;

/** A refusal that waiting does not cure: `error` is the protocol's code, `body` everything it says. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.message ?? body.error);
    Object.assign(this, { status, error: body.error, body });
  }
}

let proof = null; // headers that show Safe Exam Browser, where this is one; at hand from the first request on

/** One request; answers {status, body (null if it was not JSON), retryAfter (ms or null)}; throws when nothing came back. */
export async function send(method, path, body, { keepalive = false, ticket = "", priority = "auto" } = {}) {
  if (globalThis.SafeExamBrowser && !proof) proof = await import("./proof.js").then(({ prove }) => prove()).catch(() => null);
  const response = await fetch(path, {
    method,
    keepalive,
    priority,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "manual", // our server never redirects these: whoever does is a proxy
    headers: {
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(ticket ? { "Arrival-Ticket": ticket } : {}),
      ...proof,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: keepalive ? undefined : AbortSignal.timeout(PATIENCE),
  });
  let parsed = null;
  const text = await response.text();
  try {
    parsed = response.status === 204 ? {} : JSON.parse(text);
  } catch {
    parsed = null;
  }
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  return { status: response.status, body: parsed, retryAfter: Number.isFinite(seconds) ? seconds * 1000 : null };
}

/** Wait with full jitter: up to 1, 2, 4 … 30 s, or exactly what the server asked for. */
export async function pause(tries, retryAfter = null) {
  const ms = retryAfter ?? Math.random() * Math.min(LONGEST_WAIT, 1000 * 2 ** Math.min(tries, 5));
  await new Promise((done) => {
    setTimeout(done, ms);
    if (retryAfter === null) addEventListener("online", done, { once: true });
  });
}

/**
 * A part of the page that is fetched when it is needed first, or quietly before: `part()` promises it, and tries again after
 * a failure. `fetchPart(again)` gets what has to stand behind its address then, for browsers remember a failure by address.
 */
export function lazily(fetchPart) {
  let part = null;
  let failures = 0;
  return async () => {
    try {
      part ??= await fetchPart(failures ? `?${failures}` : "");
    } catch (error) {
      failures += 1;
      throw error;
    }
    return part;
  };
}

/** Such a part, however long the line is down, or an error after so many tries. */
export async function surely(part, most = Infinity) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await part();
    } catch (error) {
      if (tries + 1 >= most) throw error;
      await pause(tries);
    }
  }
}

/**
 * Repeat a request until the server answers; the body of the answer, or a Refusal. `told(trouble)` hears "down",
 * "busy" or "proxy" after each failure and null at the end.
 */
export async function insist(once, method, path, body, told = () => {}) {
  for (let tries = 0; ; tries += 1) {
    let reply = null;
    try {
      reply = await once(method, path, body);
    } catch {
      reply = null;
    }
    const busy = reply !== null && (reply.status >= 500 || (reply.status === 429 && reply.body?.error !== "wait"));
    const ours = reply !== null && typeof reply.body === "object" && reply.body !== null;
    if (ours && !busy && (reply.status < 300 || typeof reply.body.error === "string")) {
      told(null);
      if (reply.status < 300) return reply.body;
      if (reply.retryAfter !== null) reply.body.retryAfter = reply.retryAfter;
      throw new Refusal(reply.status, reply.body);
    }
    told(reply === null ? "down" : busy ? "busy" : "proxy");
    await pause(tries, reply?.retryAfter ?? null);
  }
}
