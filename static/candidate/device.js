// What the waiting room says of the device: whether answers can be kept here, the room, the clock, the line, the battery.
// Looking and judging are functions without a page; nothing of it stops anybody from sitting the exam.

import { h } from "./element.js";
import { say } from "./words.js";

const PATIENCE = 3000; // ms; some browsers never say yes or no
const MINUTE = 60_000;
const LITTLE = 50; // MB of free space; an exam with its pictures needs less
const NEXT_TO_NONE = 5; // MB
const SLOW = 2; // s for one answer of the server
const CHARGED = 50; // per cent; enough for a long exam
const NEARLY_EMPTY = 20; // per cent

/** The order in which the points are shown. */
export const POINTS = ["keep", "room", "line", "clock", "power"];

/** What `work` comes to, or `otherwise` if it fails or says nothing within the patience. */
async function within(work, otherwise) {
  let timer = 0;
  const late = new Promise((done) => { timer = setTimeout(done, PATIENCE, otherwise); });
  try {
    return await Promise.race([work(), late]);
  } catch {
    return otherwise;
  } finally {
    clearTimeout(timer);
  }
}

const finished = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
  request.onblocked = () => failed(new Error("blocked"));
});

/** Whether this browser takes, gives back and deletes a row, in a database of its own that is gone afterwards. */
export function canKeep(given) {
  return within(async () => {
    const factory = given ?? globalThis.indexedDB; // asked for in here: where storage is refused the question alone may throw
    const opening = factory.open("exam-probe", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("rows");
    const database = await finished(opening);
    try {
      const rows = () => database.transaction("rows", "readwrite").objectStore("rows");
      await finished(rows().put("written", "row"));
      const read = await finished(rows().get("row"));
      await finished(rows().delete("row"));
      return read === "written" && (await finished(rows().get("row"))) === undefined;
    } finally {
      database.close();
      factory.deleteDatabase("exam-probe");
    }
  }, false);
}

/** Look at everything at once; `found({name: value})` hears of each thing as it is known. Null: this browser does not tell. */
export function look(found, navigator = globalThis.navigator) {
  const { storage } = navigator;
  return Promise.all([
    canKeep().then((keeps) => found({ keeps })),
    within(async () => await storage?.persist?.() ?? null, null).then((lasting) => found({ lasting })),
    within(async () => storage?.estimate?.(), null).then((space) => found({
      free: space ? Math.max(0, Math.floor((space.quota - space.usage) / 1_000_000)) : null,
    })),
    lookAtPower(found, navigator),
  ]);
}

/** The battery alone, which changes while one waits. */
export function lookAtPower(found, navigator = globalThis.navigator) {
  return within(async () => navigator.getBattery?.(), null).then((battery) => found({
    power: battery ? { charging: battery.charging, level: Math.round(battery.level * 100) } : null,
  }));
}

/** How long the page's latest reading of the sitting took, in ms, or null; without a request of its own. */
export function latestReading(timeline = performance) {
  const readings = timeline.getEntriesByType("resource").filter((entry) => new URL(entry.name).pathname === "/api/sitting");
  return readings.at(-1)?.duration ?? null;
}

/** How far the device's clock is off, in whole units: {way: "right" | "slow" | "fast", unit, n}. */
export function clockOff(device, server) {
  const minutes = Math.round(Math.abs(device - server) / MINUTE);
  if (minutes < 2) return { way: "right", unit: "", n: 0 };
  const way = device < server ? "slow" : "fast";
  if (minutes < 60) return { way, unit: "minutes", n: minutes };
  const hours = Math.round(minutes / 60);
  return hours < 24 ? { way, unit: "hours", n: hours } : { way, unit: "days", n: Math.round(hours / 24) };
}

/**
 * What to say of one point: {mark: "good" | "careful" | "tell" | "looking", key, n, unit}, or null where the browser does not tell.
 * `facts` holds {keeps, lasting, free: MB, online, took: ms, heard, off: clockOff(…), power: {charging, level: per cent}}.
 */
export function judge(point, facts) {
  const row = (mark, key, n = 0) => ({ mark, key: `device.check.${key}`, n });
  const { keeps, lasting, free, online, took, heard, off, power } = facts;
  if (point === "keep") {
    if (keeps === undefined || (keeps && lasting === undefined)) return row("looking", "looking");
    if (!keeps) return row("tell", "keep.no");
    return lasting ? row("good", "keep.lasting") : row("careful", "keep.window");
  }
  if (point === "room") {
    if (free === null) return null;
    if (free === undefined) return row("looking", "looking");
    if (free < NEXT_TO_NONE) return row("tell", "room.none");
    return free < LITTLE ? row("careful", "room.little", free) : row("good", "room.enough");
  }
  if (point === "line") {
    if (!online || heard === false) return row("tell", "line.down");
    if (took === null || took === undefined) return row("looking", "looking");
    const seconds = Math.max(0.1, Math.round(took / 100) / 10);
    return seconds > SLOW ? row("careful", "line.slow", seconds) : row("good", "line.good", seconds);
  }
  if (point === "clock") {
    if (!off) return row("looking", "looking");
    return off.way === "right" ? row("good", "clock.right") : { ...row("good", `clock.${off.way}`, off.n), unit: off.unit };
  }
  if (power === null) return null;
  if (power === undefined) return row("looking", "looking");
  if (power.charging) return row("good", "power.plugged");
  if (power.level < NEARLY_EMPTY) return row("tell", "power.empty", power.level);
  return power.level < CHARGED ? row("careful", "power.low", power.level) : row("good", "power.enough", power.level);
}

/** The worst mark of all points, for one sentence over the list. */
export function worst(marks) {
  return ["tell", "looking", "careful"].find((mark) => marks.includes(mark)) ?? "good";
}

const SIGNS = { good: "✓", careful: "!", tell: "✕", looking: "…" };

/** The list on the page. It outlives a change of language: what is known is drawn again, not looked for again. */
export class DeviceCheck {
  #facts = { online: navigator.onLine, took: latestReading() };
  #shown = "";

  constructor(clock) {
    this.clock = clock;
    look((facts) => this.#learn(facts));
  }

  #learn(facts) {
    Object.assign(this.#facts, facts);
    this.#write();
  }

  draw() {
    this.summary = h("p", { role: "status", "data-test": "device-summary" });
    this.list = h("ul", { class: "checks", "data-test": "device" });
    this.#shown = "";
    this.#write();
    return [h("h2", {}, say("device.check.title")), this.summary, this.list];
  }

  /** Each second: the clock and the line. Answers whether the line has just come back. */
  tick() {
    const now = this.clock.now();
    const back = navigator.onLine && !this.#facts.online;
    this.#learn({
      online: navigator.onLine,
      off: now === null ? null : clockOff(this.clock.wall(), now),
      ...(back ? { heard: undefined, took: null } : {}),
    });
    return back;
  }

  /** The sitting has been read again in `took` ms, or nothing was heard. */
  read(took, heard) {
    this.#learn({ took, heard });
    lookAtPower((facts) => this.#learn(facts));
  }

  #write() {
    if (!this.list) return;
    const rows = POINTS.map((point) => [point, judge(point, this.#facts)]).filter(([, row]) => row);
    const shown = JSON.stringify(rows);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const sum = say(`device.check.all.${worst(rows.map(([, { mark }]) => mark))}`);
    if (this.summary.textContent !== sum) this.summary.textContent = sum;
    this.list.replaceChildren(...rows.map(([point, { mark, key, n, unit }]) => h("li", { "data-mark": mark, "data-point": point, "data-test": "check" },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[mark]),
      h("p", {}, h("strong", {}, `${say(`device.check.${point}`)}: ${say(`device.check.${mark}`)}`), " ", h("span", {}, say(key, { n, span: unit && say(`device.check.${unit}`, { n }) }))))));
  }
}
