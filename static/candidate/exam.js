// The candidate's screen: reads the sitting and shows what its state asks for. The waiting room is waiting.js, the running
// exam and its end attempt.js.

import { Attempt } from "./attempt.js";
import { Clock } from "./clock.js";
import { button } from "./element.js";
import { drawWords } from "./ending.js";
import { Frame } from "./frame.js";
import { forgetKeys, openKept } from "./journal.js";
import { insist, Refusal, send } from "./line.js";
import { Notices } from "./notices.js";
import { SealedPaper } from "./paper.js";
import { WaitingRoom } from "./waiting.js";
import { clockTime, remember, say, speak } from "./words.js";

const BETWEEN = 10_000; // ms between two readings of the sitting, at least
const TAB_PATIENCE = 700; // ms; a page that reloads needs a moment to let go of its lock

const never = () => new Promise(() => {});

/** What every part of the screen shares: the sitting as last read, time, frame, and the way to the server. */
const page = {
  sitting: null,
  readAt: -Infinity,
  clock: new Clock(),
  frame: new Frame(() => page.draw()),
  notices: null,
  sealed: new SealedPaper(),
  kept: null, // {journal, found} of a page that began without a line
  draw: () => {},

  /** What names the attempt on this device. */
  get key() { return `${page.sitting.candidate.registration}|${page.sitting.slot.opens_at}`; },

  /** Make `draw` the screen: now, and again whenever a setting changes. */
  show(draw) {
    page.draw = () => {
      page.frame.words([leaveButton()]);
      page.notices?.draw();
      draw();
      tick();
    };
    page.draw();
  },

  async send(method, path, body, options) {
    const reply = await send(method, path, body, options);
    if (Number.isInteger(reply.body?.now)) page.clock.learn(reply.body.now);
    return reply;
  },

  /** Ask until there is an answer, or throw a Refusal; who is not logged in goes to the front page. */
  async ask(method, path, body) {
    try {
      return await insist(page.send, method, path, body, trouble);
    } catch (refusal) {
      if (refusal.status !== 401) throw refusal;
      page.leave();
      return never();
    }
  },

  async read() {
    page.took(await page.ask("GET", "/api/sitting"));
  },

  took(sitting) {
    page.sitting = sitting;
    page.readAt = page.clock.monotonic();
    page.notices ??= new Notices(page.send, page.key);
    page.notices.saw(sitting.notices);
    if (sitting.state === "prepared") page.sealed.plan(sitting.sealed, sitting.slot.opens_at - page.clock.now());
  },

  /** Without a line: go on from what this device has kept of the exam that is being sat here. Whether it could. */
  async resume() {
    const reply = await page.send("GET", "/api/sitting").catch(() => null);
    if (reply?.status === 200 && reply.body?.state) page.took(reply.body);
    if (reply) return page.sitting !== null;
    const journal = await openKept(() => attempt?.showSaved());
    const found = await journal?.load();
    const { paper, sitting } = found?.notes ?? {};
    if (!paper || sitting?.state !== "started") return false;
    const { epoch, answers } = sitting.attempt;
    const mark = found.marks[epoch] ?? 0;
    const latest = new Map(answers.map((answer) => [answer.item, answer]));
    for (const row of found.rows) if (row.epoch === epoch && row.seq <= mark && !row.void) latest.set(row.item, row);
    page.clock.learn(page.clock.wall() + sitting.ahead);
    page.kept = { journal, found };
    page.took({ ...sitting, attempt: { ...sitting.attempt, watermark: mark, answers: [...latest.values()] } });
    return true;
  },

  leave() { location.replace("/"); },

  /** Say that it does not work; the page can be tried again. */
  failed(error) {
    const none = error.error === "nothing_here" && !page.sitting;
    const text = error instanceof Refusal && !none ? error.message : say(none ? "none.text" : "failed.text");
    page.show(() => drawWords(page.frame, "failed", say(none ? "none.title" : "failed.title"), text,
      [["again", say("again"), () => location.reload()], ["leave", say("logout"), logout]]));
    if (!(error instanceof Refusal)) throw error;
  },

  changeDevice,
};

let attempt = null;
let room = null; // the waiting room, while we are in it

function trouble(name) {
  if (attempt?.engine) attempt.showSaved();
  else if (name === null) page.frame.save({ kind: "none", text: say("save.none"), loud: false });
  else page.frame.save({ kind: "waiting", text: say(`login.${name === "busy" ? "server" : name}`), loud: true });
}

function leaveButton() {
  if (page.sitting?.state === "started") return "";
  return button("settings-logout", "quiet", say("logout"), logout);
}

async function logout() {
  await insist(page.send, "POST", "/api/logout", {}, trouble).catch(() => null);
  await forgetKeys().catch(() => null);
  remember("inside", "");
  page.leave();
}
page.logout = logout;

/** One tab writes. Waits while another one has the exam open; answers whether it had to. */
function alone() {
  if (!navigator.locks) return false;
  return new Promise((done) => {
    let waited = false;
    const timer = setTimeout(() => {
      waited = true;
      page.show(() => drawWords(page.frame, "other-tab", say("tab.title"), say("tab.text")));
    }, TAB_PATIENCE);
    navigator.locks.request(`exam ${page.key}`, () => {
      clearTimeout(timer);
      done(waited);
      return never(); // held for the life of the page
    });
  });
}

async function route() {
  room = null;
  const { state, attempt: begun } = page.sitting;
  if (state === "prepared") wait();
  else if (state === "started" && begun.epoch === null) await changeDevice();
  else {
    attempt ??= new Attempt(page);
    await (state === "started" ? attempt.enter() : attempt.end());
  }
}

function wait() {
  const { frame, clock } = page;
  room = new WaitingRoom({
    sitting: page.sitting, frame, clock, start,
    refresh: async () => {
      const reply = await page.send("GET", "/api/sitting").catch(() => null);
      if (reply?.status === 401) page.leave();
      if (!room || reply?.status !== 200 || !reply.body?.slot) return;
      const moved = reply.body.slot.opens_at !== page.sitting.slot.opens_at;
      page.took(reply.body);
      if (page.sitting.state !== "prepared") route().catch(page.failed);
      else if (moved) room.again(page.sitting);
    },
  });
  page.show(() => room.draw());
}

async function start() {
  try {
    const begun = await page.ask("POST", "/api/start", {});
    if (begun.watermark > 0 || begun.epoch > 1) await page.read();
    else {
      const { journal, ...fresh } = begun;
      Object.assign(page.sitting, { state: "started", journal, attempt: { ...fresh, writer: true, answers: [], kept: 0, takeovers_left: null } });
    }
    await route();
  } catch (refusal) {
    if (refusal.error === "too_early") {
      await new Promise((done) => { setTimeout(done, 1000); });
      await page.read();
      room?.again(page.sitting);
    } else if (["other_device", "ended", "too_late"].includes(refusal.error)) {
      await page.read();
      await route().catch(page.failed);
    } else page.failed(refusal);
  }
}

/** Ask whether to go on here; the page shows why it stands still until the answer is yes. */
async function changeDevice(notAllowed = false) {
  const left = page.sitting.attempt.takeovers_left;
  const buttons = () => [["takeover", say("device.yes"), () => changeDevice()], ["leave", say("logout"), logout]];
  page.show(() => {
    const text = say(notAllowed ? "device.notallowed" : "device.stopped.text");
    drawWords(page.frame, "stopped", say(notAllowed ? "device.title" : "device.stopped"), text, buttons());
  });
  if (notAllowed) return;
  const count = Number.isInteger(left) && say(left ? "device.left" : "device.notallowed", { n: left });
  const answer = await page.frame.ask("device", say("device.title"), [say("device.text"), count].filter(Boolean),
    [["yes", say("device.yes")], ["no", say("device.no")]]);
  if (answer !== "yes") return;
  if (attempt?.engine) {
    attempt.engine.takeover();
    return;
  }
  try {
    await page.ask("POST", "/api/takeover", {});
    await page.read();
    await route();
  } catch (refusal) {
    if (refusal.error === "not_allowed") await changeDevice(true);
    else page.failed(refusal);
  }
}

function tick() {
  const { clock, frame } = page;
  const now = clock.now();
  if (now === null) return;
  if (clock.doubtful()) reread();
  if (attempt?.running) attempt.tick(now);
  else {
    frame.timer(say("time.now"), clockTime(now, true), "");
    room?.tick();
  }
}

/** The device slept or was elsewhere: ask the server what holds now. */
function reread() {
  if (!page.sitting || page.clock.monotonic() - page.readAt < BETWEEN) return;
  page.readAt = page.clock.monotonic();
  if (room) room.refresh();
  else attempt?.look();
}

addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") attempt?.flush();
  else if (page.clock.age() > BETWEEN) reread();
});
addEventListener("pagehide", () => attempt?.flush());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
addEventListener("online", () => attempt?.engine?.offline(false));
addEventListener("offline", () => attempt?.engine?.offline(true));
addEventListener("beforeunload", (event) => {
  if (attempt?.wouldLose()) event.preventDefault();
});

try {
  await speak(document.documentElement.lang);
  page.frame.words();
  trouble(null);
  page.clock.everySecond(tick);
  if (!await page.resume()) await page.read();
  remember("inside", "yes");
  await speak(page.sitting.candidate.language);
  if (await alone()) await page.read();
  await route();
  navigator.serviceWorker?.register("/sw.js").catch(() => null);
  const others = () => import("./handover.js").then(({ handOver }) => handOver(page.sitting.journal?.name)).catch(() => null);
  setTimeout(others, 5000 + Math.random() * 15_000); // what they left here is in nobody's way, and nobody waits for it
} catch (error) {
  page.failed(error);
}
