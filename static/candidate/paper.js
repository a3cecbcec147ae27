// The paper: fetched sealed while the candidate waits and opened by the key of the start, or else fetched as it is.

import { pause, Refusal } from "./line.js";

const PATIENCE = 60_000; // ms until a fetch without an end counts as lost
const SPREAD = 60_000; // ms over which those who come in fetch theirs: early, lest the line be gone by then
const QUIET = 5000; // ms before the opening in which nothing is fetched
const AGAIN = 20_000; // ms until a fetch that failed is tried again

export const bytesOf = (digits) => Uint8Array.from(digits.match(/../g), (two) => Number.parseInt(two, 16));
export const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A sealed paper, of which nobody can read a word before the start. Where anything fails it is as if there were none. */
export class SealedPaper {
  #name = "";
  #bytes = null;
  #done = false;
  bad = false; // whether one came that is not what it should be

  /** `came(name, bytes)` hears of one that has been fetched. */
  constructor(came) { this.came = came; }

  /** Whether it is here. */
  get here() { return this.#bytes !== null; }

  /** Take the one called `name` from what this device has kept. */
  take(name, bytes) {
    this.#name = name;
    this.#bytes = bytes;
  }

  /** Fetch the one called `name` at some moment of the `left` ms before the opening, but soon. */
  plan(name, left) {
    if (!name || name === this.#name || !globalThis.crypto?.subtle || !globalThis.DecompressionStream) return;
    this.take(name, null);
    this.#later(name, Math.random() * Math.min(SPREAD, Math.max(0, left - QUIET)));
  }

  #later(name, ms) {
    setTimeout(() => {
      if (name !== this.#name || this.here || this.#done) return;
      this.#fetch(name).catch(() => this.#later(name, (1 + Math.random()) * AGAIN));
    }, ms);
  }

  async #fetch(name) {
    const response = await fetch(`/papers/${name}`, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error("no paper");
    const bytes = await response.arrayBuffer();
    if (name !== this.#name) return;
    this.#bytes = bytes;
    this.came(name, bytes);
  }

  /** The paper of this form, or null if it did not come, does not open, or is another one: then `bad` is true. */
  async open(form, key) {
    this.#done = true; // where it is not here by now it is fetched as it is
    if (!this.#bytes || !key) return null;
    try {
      const opener = await crypto.subtle.importKey("raw", bytesOf(key), "AES-GCM", false, ["decrypt"]);
      const how = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: bytesOf(form) };
      const packed = new Blob([await crypto.subtle.decrypt(how, opener, this.#bytes)]);
      const bytes = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
      if (hex(await crypto.subtle.digest("SHA-256", bytes)) === form) return JSON.parse(new TextDecoder().decode(bytes));
    } catch { /* so it is no paper */ }
    this.bad = true;
    return null;
  }
}

/** Fetch the paper named `form` until its bytes have that SHA-256 (checked where the browser can); the service hears what was `bad`. */
export async function fetchPaper(form, told = () => {}, bad = "") {
  for (let tries = 0; ; tries += 1) {
    try {
      const response = await fetch(`/api/papers/${form}${bad && `?bad=${bad}`}`, {
        cache: tries ? "reload" : "default",
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (response.status === 401) throw new Refusal(401, { error: "no_session" });
      if (response.ok) {
        const bytes = await response.arrayBuffer();
        const digest = globalThis.crypto?.subtle ? hex(await crypto.subtle.digest("SHA-256", bytes)) : form;
        bad = digest === form ? "" : digest;
        if (!bad) {
          const paper = JSON.parse(new TextDecoder().decode(bytes));
          told(null);
          return paper;
        }
      }
      told(response.status >= 500 || response.status === 429 ? "busy" : "proxy");
    } catch (error) {
      if (error instanceof Refusal) throw error;
      told(error instanceof SyntaxError ? "proxy" : "down");
    }
    await pause(tries);
  }
}
