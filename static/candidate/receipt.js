// The receipt as a candidate keeps it, and this device's own word on it: the digest of what it knows to count, computed as
// section 6 of the protocol says.

import { h } from "./element.js";
import { clockTime, digits, say, spoken } from "./words.js";

/** The one JSON text of a response, byte for byte as the service writes it: lists sorted, mappings by key, no spaces. */
export function canonical(response) {
  if (Array.isArray(response)) return JSON.stringify([...response].sort());
  if (response === null || typeof response !== "object") return JSON.stringify(response);
  // By hand: an object would move keys that look like numbers to the front, "2" before "10".
  const pairs = Object.keys(response).sort().map((key) => `${JSON.stringify(key)}:${JSON.stringify(response[key])}`);
  return `{${pairs}}`;
}

/** What counts, by item number: the sitting's `answers`, but where this device has its own word that is no older, that. */
export function counted(answers, items) {
  const rows = new Map(answers.map((row) => [row.item, row]));
  for (const [item, own] of items) {
    const told = rows.get(item);
    const older = told && (own.epoch - told.epoch || own.seq - told.seq) < 0;
    if (own.standing === "safe" && !older) rows.set(item, { ...own, item });
  }
  return [...rows.values()].sort((a, b) => a.item - b.item);
}

/** The digest of counted rows, in hex; null where the browser computes none: it does so only on a page that came by TLS. */
export async function digestOf(form, salt, rows) {
  if (!globalThis.crypto?.subtle) return null;
  const entries = rows.map((row) => `[${row.item},${row.epoch},${row.seq},${canonical(row.response)}]`);
  const text = `["exam-receipt-1",${JSON.stringify(form)},${JSON.stringify(salt)},[${entries}]]`;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function day(ms) {
  const zone = document.documentElement.dataset.zone;
  const words = new Intl.DateTimeFormat(`${spoken()}-IN-u-nu-latn`, { timeZone: zone, dateStyle: "long" });
  return digits(words.format(ms));
}

/** In groups that can be read aloud, compared and typed. */
const grouped = (hex) => hex.match(/.{1,8}/g).join(" ");

/**
 * The code, how much it is over and how it came about: {box, same}. `items` of the sync engine are this device's own word;
 * `same` comes to be whether the digest that it computes is the receipt's, null where it computes none.
 */
export function receiptBox({ exam, attempt, receipt }, items = new Map()) {
  const how = { candidate: "end.candidate", clock: "end.clock" }[receipt.ended_by] ?? "end.staff";
  const own = h("p", { class: "own", role: "status", "data-test": "receipt-own" });
  const same = digestOf(attempt.form, receipt.salt, counted(attempt.answers, items)).then((digest) => {
    if (digest === null) return null;
    const as = digest === receipt.digest;
    own.dataset.kind = as ? "safe" : "stop";
    own.append(say(as ? "receipt.same" : "receipt.differs"));
    if (!as) own.append(h("span", { class: "groups", translate: "no" }, grouped(digest)));
    return as;
  });
  const box = h("div", { class: "code-box" },
    h("p", { class: "label" }, say("end.code")),
    h("p", { class: "code", translate: "no", "data-test": "receipt-code" }, receipt.code),
    h("p", { "data-test": "receipt-count" }, say("end.answered", { answered: receipt.answered, n: exam.questions })),
    h("p", { "data-test": "receipt-how" }, say(how, { day: day(receipt.ended_at), time: clockTime(receipt.ended_at) })),
    own,
    h("p", {}, say("end.write")));
  return { box, same };
}

/** What proves it to anybody else, and where that is done. */
export function receiptProof(receipt) {
  const { digest, signature, key_id: key } = receipt;
  const lines = { digest, signature, key, paper: receipt.form, salt: receipt.salt };
  return h("section", { class: "proof", "data-test": "receipt-proof" },
    h("h2", {}, say("receipt.title")),
    h("p", {}, say("receipt.check"), " ",
      // What stands behind the # never reaches a server's log: the page there types it into its own form.
      h("a", { href: `/check?language=${spoken()}#${digest}.${signature}.${key}`, target: "_blank", "data-test": "receipt-check" },
        `${location.host}/check`)),
    h("dl", { class: "facts codes" }, Object.entries(lines).flatMap(([word, value]) => [
      h("dt", {}, say(`end.${word}`)), h("dd", { translate: "no" }, grouped(value))])));
}
