// The paper: fetched sealed while the candidate waits and opened by the key of the start, or else fetched as it is.

import { pause, Refusal } from "./line.js";

const PATIENCE = 60_000; // ms until a fetch without an end counts as lost
const QUIET = 5000; // ms before the opening in which nothing is fetched

const bytesOf = (digits) => Uint8Array.from(digits.match(/../g), (two) => Number.parseInt(two, 16));
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A sealed paper, of which nobody can read a word before the start. Where anything fails it is as if there were none. */
export class SealedPaper {
  #name = "";
  #bytes = null;

  /** Fetch the one called `name` at some moment of the `left` ms before the opening. */
  plan(name, left) {
    if (!name || name === this.#name || !globalThis.crypto?.subtle || !globalThis.DecompressionStream) return;
    this.#name = name;
    this.#bytes = null;
    setTimeout(() => this.#fetch(name).catch(() => null), Math.random() * Math.max(0, left - QUIET));
  }

  async #fetch(name) {
    const response = await fetch(`/papers/${name}`, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
    const bytes = response.ok ? await response.arrayBuffer() : null;
    if (name === this.#name) this.#bytes = bytes;
  }

  /** The paper of this form, or null if it did not come, does not open, or is another one. */
  async open(form, key) {
    if (!this.#bytes || !key) return null;
    try {
      const opener = await crypto.subtle.importKey("raw", bytesOf(key), "AES-GCM", false, ["decrypt"]);
      const how = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: bytesOf(form) };
      const packed = new Blob([await crypto.subtle.decrypt(how, opener, this.#bytes)]);
      const bytes = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
      if (hex(await crypto.subtle.digest("SHA-256", bytes)) !== form) return null;
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return null;
    }
  }
}

/** Fetch the paper named `form` until its bytes have that SHA-256 (checked where the browser can). */
export async function fetchPaper(form, told = () => {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      const response = await fetch(`/api/papers/${form}`, {
        cache: tries ? "reload" : "default",
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (response.status === 401) throw new Refusal(401, { error: "no_session" });
      if (response.ok) {
        const bytes = await response.arrayBuffer();
        const digest = globalThis.crypto?.subtle ? hex(await crypto.subtle.digest("SHA-256", bytes)) : form;
        if (digest === form) {
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
