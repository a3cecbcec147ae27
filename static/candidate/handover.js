// What earlier candidates left on this device: their sealed rows are handed to the server, which alone can read them.

import { allOf, base64, erase, openDatabase, run } from "./journal.js";
import { send } from "./line.js";

const MOST_ROWS = 100;
const MOST_BYTES = 110 * 1024;
const TRIES = 4; // for one journal, on one page; the next page goes on

/** Hand over every journal but `own` that no page has open, and delete those that have arrived whole; the names of the others. */
export async function handOver(own = "") {
  const left = [];
  if (!navigator.locks || !globalThis.indexedDB) return left;
  const database = await openDatabase();
  try {
    const [notes] = await run(database, ["notes"], "readonly", (transaction) => [transaction.objectStore("notes").getAll()]);
    for (const { journal, name, value } of notes) {
      if (name !== "handover" || journal === own) continue;
      await navigator.locks.request(`journal ${journal}`, { ifAvailable: true }, async (lock) => {
        if (!lock) return;
        if (await delivered(database, journal, value, notes)) await erase(database, journal);
        else left.push(journal);
      });
    }
  } finally {
    database.close();
  }
  return left;
}

/** Send what the server has not acknowledged; whether all of it is there now. */
async function delivered(database, journal, token, notes) {
  const [rows] = await run(database, ["rows"], "readonly", (transaction) => [transaction.objectStore("rows").getAll(allOf(journal))]);
  const marks = new Map(notes.filter((note) => note.journal === journal).map(({ name, value }) => [name, value]));
  for (const epoch of new Set(rows.map((row) => row.epoch))) {
    const mark = marks.get(`mark:${epoch}`) ?? 0;
    const all = rows.filter((row) => row.epoch === epoch);
    if (!await deliver(all, mark, (part) => send("POST", "/api/handover", { handover: token, epoch, rows: part }))) return false;
  }
  return true;
}

async function deliver(rows, mark, ask) {
  let held = mark;
  for (let tries = 0; tries < TRIES;) {
    const part = batch(rows.filter(({ seq }) => seq > held));
    if (!part.length) return true;
    const reply = await ask(part).catch(() => null);
    const { watermark, error } = reply?.body ?? {};
    if (reply?.status === 200 && watermark > held) held = watermark;
    else if (Number.isInteger(watermark) && ((error === "gap" && watermark < held) || (error === "conflict" && watermark > held))) {
      tries += 1; // the server holds less than this device was told, or something else under these numbers: keep to what it says
      held = watermark;
    } else return false;
  }
  return false;
}

function batch(rows) {
  const part = [];
  let bytes = 0;
  for (const { seq, iv, sealed } of rows) {
    if (part.length && (seq !== part.at(-1).seq + 1 || part.length === MOST_ROWS)) break;
    const row = { seq, iv: base64(iv), sealed: base64(sealed) };
    bytes += row.sealed.length + 80;
    if (part.length && bytes > MOST_BYTES) break;
    part.push(row);
  }
  return part;
}
