// The rescue file: answers that cannot be sent, sealed as the journal has them, for the invigilator to bring to the server.
// Nobody but the server can read it, this device included once the key is forgotten. Fetched while there is a line, for when
// there is none. The file: docs/candidate-protocol.md, section 8.

import { button, h } from "./element.js";
import { allOf, base64, openDatabase, run } from "./journal.js";
import { say } from "./words.js";

const MOST_BYTES = 8_000_000; // of one file; the server takes 8 MiB
const SHOWN_AFTER = 60; // ms; a screen reader reads what changes in a place that it knows already

const number = ({ epoch, seq }) => `${epoch}:${seq}`;

let shown = null; // {why, collect, files: those still to be saved, all: how many there were, said: what say() takes, place}

/** What the database has of journals, of one or of all: {rows, notes}; nothing where there is no database. */
async function kept(journal = null) {
  const database = await openDatabase().catch(() => null);
  if (!database) return { rows: [], notes: [] };
  try {
    const [rows, notes] = await run(database, ["rows", "notes"], "readonly", (transaction) => (
      ["rows", "notes"].map((store) => transaction.objectStore(store).getAll(journal && allOf(journal)))));
    return { rows, notes };
  } catch {
    return { rows: [], notes: [] };
  } finally {
    database.close();
  }
}

const tokenIn = (notes, journal) => notes.find((note) => note.journal === journal && note.name === "handover")?.value;

/** Files of a journal, {name, text}: all of its rows, or only those that are `wanted` where all are too many for one file. */
function pack({ journal, handover, rows, wanted, as }) {
  const name = `exam-rescue-${as.replace(/[^\p{L}\p{N}]+/gu, "-")}`;
  const head = `{"format":"exam-rescue-1","journal":${JSON.stringify(journal)},"handover":${JSON.stringify(handover)},"rows":[\n`;
  const write = (some) => {
    const parts = [[]];
    let size = head.length;
    for (const { epoch, seq, iv, sealed } of some) {
      const line = JSON.stringify({ epoch, seq, iv: base64(iv), sealed: base64(sealed) });
      size += line.length + 2;
      if (size > MOST_BYTES) {
        parts.push([]);
        size = head.length + line.length + 2;
      }
      parts.at(-1).push(line);
    }
    return parts;
  };
  if (!rows.length) return [];
  const whole = write(rows);
  const parts = whole.length === 1 ? whole : write(rows.filter((row) => wanted.has(number(row))));
  return parts.map((lines, i) => ({ name: `${name}${i ? `-${i + 1}` : ""}.json`, text: `${head}${lines.join(",\n")}\n]}\n` }));
}

/** The files of the exam on this page: what its journal has, and what it could not be given. */
export async function filesOf({ journal, handover, waiting, as }) {
  const unsent = await waiting();
  const { rows, notes } = await kept(journal.name);
  const there = new Set(rows.map(number));
  const loose = await journal.sealed(unsent.filter((row) => !there.has(number(row))));
  const all = [...rows, ...loose].sort((a, b) => a.epoch - b.epoch || a.seq - b.seq);
  const token = handover ?? tokenIn(notes, journal.name);
  return pack({ journal: journal.name, handover: token, rows: all, wanted: new Set(unsent.map(number)), as });
}

/** The files of journals that nobody here can read any more, of all or of those with `names`. */
async function filesLeft(names) {
  const { rows, notes } = await kept();
  const marks = new Map(notes.map(({ journal, name, value }) => [`${journal} ${name}`, value]));
  return notes.filter(({ name, journal }) => name === "handover" && (names?.includes(journal) ?? true)).flatMap(({ journal, value }) => {
    const own = rows.filter((row) => row.journal === journal);
    const wanted = new Set(own.filter(({ epoch, seq }) => seq > (marks.get(`${journal} mark:${epoch}`) ?? 0)).map(number));
    return wanted.size ? pack({ journal, handover: value, rows: own, wanted, as: journal.slice(0, 8) }) : [];
  });
}

/** Offer on the page, until `withdraw`, to save what `collect` promises: a list of files. `why` is the sentence for it. */
export function offer(why, collect) {
  if (shown) Object.assign(shown, { why, collect });
  else {
    shown = { why, collect, files: [], all: 0, said: null, place: h("aside", { class: "notice", "data-test": "rescue" }) };
    document.querySelector("main").before(shown.place);
    language.observe(document.documentElement, { attributeFilter: ["lang"] });
  }
  draw();
}

/** Offer what is left of journals without a key. */
export async function offerLeft(names) {
  const files = await filesLeft(names);
  if (files.length && !shown) offer("rescue.left", () => filesLeft(names));
}

/** Nothing is to be saved any more. */
export function withdraw() {
  if (!shown) return;
  language.disconnect();
  const focused = shown.place.contains(document.activeElement);
  shown.place.remove();
  shown = null;
  if (focused) document.querySelector("main").focus({ preventScroll: true });
}

const language = new MutationObserver(draw);

function draw() {
  const { place, why, files, all, said } = shown;
  const focused = place.contains(document.activeElement);
  const words = h("p", { role: "status", "data-test": "rescue-why" });
  const told = h("p", { role: "status", "data-test": "rescue-said" });
  const text = files.length ? say("rescue.next", { n: all - files.length + 1, all }) : say("rescue.save");
  place.setAttribute("aria-label", say("rescue.title"));
  place.replaceChildren(words, button("rescue-save", "quiet", text, save), told);
  if (focused) place.querySelector("button").focus();
  setTimeout(() => {
    words.textContent = say(why);
    if (said) told.textContent = say(...said);
  }, SHOWN_AFTER);
}

async function save() {
  const here = shown;
  if (here.busy) return;
  here.busy = true;
  try {
    if (!here.files.length) {
      here.files = await here.collect();
      here.all = here.files.length;
    }
    const [{ name, text }] = here.files;
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    here.files = here.files.slice(1);
    here.said = ["rescue.saved", { file: name }];
  } catch {
    here.files = [];
    here.said = ["rescue.failed"];
  }
  here.busy = false;
  if (shown === here) draw();
}
