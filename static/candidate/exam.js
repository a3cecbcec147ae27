// The candidate's screen: reads the sitting and shows what its state asks for. The waiting room is waiting.js, the running
// exam and its end attempt.js.

import { Attempt } from "./attempt.js";
import { Clock } from "./clock.js";
import { button } from "./element.js";
import { drawWords, Frame } from "./frame.js";
import { base64, forgetKeys, fromBase64, keepsOthers, openJournal, openKept } from "./journal.js";
import { insist, lazily, Refusal, send, surely } from "./line.js";
import { SealedPaper } from "./paper.js";
import { WaitingRoom } from "./waiting.js";
import { clockTime, remember, say, speak } from "./words.js";

const BETWEEN = 10_000; // ms between two readings of the sitting, at least
const KEEP_AFTER = 2000; // ms
const TAB_PATIENCE = 700; // ms; a page that reloads needs a moment to let go of its lock

const never = () => new Promise(() => {});

/** Notices, as in notices.js, of which there are none in most exams: they come when there is something to announce. */
function announcements() {
  const fetched = lazily((again) => import(`./notices.js${again}`));
  let made = null;
  const having = async () => {
    const { Notices } = await surely(fetched);
    made ??= new Notices(page.send, page.key);
    return made;
  };
  return {
    draw: () => made?.draw(),
    saw: async (number) => { if (number) (await having()).saw(number); },
    say: async (key, time) => (await having()).say(key, time),
  };
}

/** What every part of the screen shares: the sitting as last read, time, frame, and the way to the server. */
const page = {
  sitting: null,
  readAt: -Infinity,
  clock: new Clock(),
  frame: new Frame(() => page.draw()),
  notices: announcements(),
  sealed: new SealedPaper((name, bytes) => page.lay(name, bytes)),
  kept: null, // {journal, found} of a page that began without a line
  journal: null, // promised, once there is one
  unheard: false, // whether the sitting is what this device has kept, and the server has not been heard since
  draw: () => {},

  /** What names the attempt on this device. */
  get key() { return `${page.sitting.candidate.registration}|${page.sitting.slot.opens_at}`; },

  /** Make `draw` the screen: now, and again whenever a setting changes. */
  show(draw) {
    page.draw = () => {
      page.frame.words([leaveButton()]);
      page.notices.draw();
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
  async ask(method, path, body, once = page.send) {
    try {
      return await insist(once, method, path, body, trouble);
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
    page.unheard = false;
    page.readAt = page.clock.monotonic();
    page.notices.saw(sitting.notices);
    if (sitting.state === "prepared") page.sealed.plan(sitting.sealed, sitting.slot.opens_at - page.clock.now());
  },

  /** While waiting: keep on this device what the exam can begin with although no server answers, and the sealed paper. */
  async lay(name = "", bytes = null) {
    const { journal: named, ...sitting } = page.sitting;
    if (sitting.state !== "prepared" || !sitting.by_code) return;
    fetchCodes().then((module) => { codes = module; }, () => null); // while there is a line
    page.journal ??= openJournal(named, () => attempt?.showSaved());
    const journal = await page.journal;
    if (page.sitting.state !== "prepared") return;
    if (bytes) journal.note("sealed", { name, bytes: base64(bytes) });
    else journal.note("sitting", { ...sitting, ahead: page.clock.now() - page.clock.wall() });
  },

  /** Without a line, or begun by code: go on from what this device has kept of the exam that is sat here. Whether there is a sitting. */
  async resume() {
    const reply = await page.send("GET", "/api/sitting").catch(() => null);
    const there = reply?.status === 200 && Boolean(reply.body?.state);
    if (there) page.took(reply.body);
    if (there ? !page.sitting.by_code : reply && reply.status < 500) return there;
    const journal = await openKept(() => attempt?.showSaved());
    const found = await journal?.load();
    const { paper, sealed, sitting } = found?.notes ?? {};
    if (!sitting || (there && journal.name !== page.sitting.journal.name)) return there;
    const begun = sitting.state === "started" && (!there || sitting.attempt.epoch === 0);
    if (!there) {
      if (begun ? !paper : sitting.state !== "prepared") return false;
      page.clock.learn(page.clock.wall() + sitting.ahead);
      page.took(sitting);
      page.unheard = true;
    } else if (begun) {
      const { deadline, section_ends } = page.sitting.by_code;
      Object.assign(sitting.attempt, { deadline, section_ends });
      page.sitting.state = "started";
    }
    page.journal = Promise.resolve(journal);
    if (sealed && sealed.name === page.sitting.sealed) page.sealed.take(sealed.name, fromBase64(sealed.bytes));
    if (!begun) return true;
    const { epoch, answers } = sitting.attempt;
    const mark = found.marks[epoch] ?? 0;
    const latest = new Map(answers.map((answer) => [answer.item, answer]));
    for (const row of found.rows) if (row.epoch === epoch && row.seq <= mark && !row.void) latest.set(row.item, row);
    page.kept = { journal, found };
    page.sitting.attempt = { ...sitting.attempt, watermark: mark, answers: [...latest.values()] };
    return true;
  },

  leave() { location.replace("/"); },

  /** Say that it does not work; the page can be tried again. */
  failed(error) {
    const words = () => {
      if (error.error === "nothing_here" && !page.sitting) return [say("none.title"), say("none.text")];
      if (error.error === "safe_browser") return [say("browser.title"), say("browser.text")];
      return [say("failed.title"), error instanceof Refusal ? error.message : say("failed.text")];
    };
    page.show(() => drawWords(page.frame, "failed", ...words(),
      [["again", say("again"), () => location.reload()], ["leave", say("logout"), logout]]));
    if (!(error instanceof Refusal)) throw error;
  },

  changeDevice,
};

let attempt = null;
let room = null; // the waiting room, while we are in it
let codes = null; // the module for the code, once it is here
const fetchCodes = lazily((again) => import(`./code.js${again}`));

let rescue = null; // promises the module that offers a file, while the page knows of no sitting

/** Without a sitting this page can read no journal that is here; it can still go to the server as a file. */
function offerFiles(need) {
  if (need) rescue ??= import("./rescue.js").then(async (found) => { await found.offerLeft(); return found; }).catch(() => null);
  else if (rescue) {
    rescue.then((found) => found?.withdraw());
    rescue = null;
  }
}

function trouble(name) {
  offerFiles(name !== null && !page.sitting);
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
  page.lay();
  room = new WaitingRoom({
    sitting: page.sitting, frame, clock, start, unheard: page.unheard,
    codeForm: (typed) => (codes && page.sealed.here && page.sitting.by_code ? codes.codeForm(typed, openByCode) : null),
    refresh: async () => {
      const reply = await page.send("GET", "/api/sitting").catch(() => null);
      if (reply?.status === 401) page.leave();
      if (!room || reply?.status !== 200 || !reply.body?.slot) return;
      const moved = reply.body.slot.opens_at !== page.sitting.slot.opens_at;
      page.took(reply.body);
      if (page.sitting.state !== "prepared") route().catch(page.failed);
      else if (moved) room.again(page.sitting);
      else page.lay();
    },
  });
  page.show(() => room.draw());
}

/** Begin by the code that the invigilator has read out; why it does not open the paper, or "". */
async function openByCode(code) {
  const { envelope, ...times } = page.sitting.by_code;
  const key = await codes.openEnvelope(code, envelope, times.form);
  if (!key) return say("code.wrong");
  if (!await page.sealed.open(times.form, key)) return say("code.broken");
  const journal = await page.journal;
  const found = await journal.load();
  if (!room) return ""; // the server was quicker
  Object.assign(page.sitting, { state: "started", attempt: { ...times, key, epoch: 0, watermark: 0, writer: true, answers: [], kept: 0, takeovers_left: null } });
  page.kept = { journal, found };
  await route();
  return "";
}

async function start() {
  const here = room;
  const once = (...request) => (room === here ? page.send(...request) : never()); // who began by code does not start again
  try {
    const begun = await page.ask("POST", "/api/start", {}, once);
    if (room !== here) return;
    if (begun.watermark > 0 || begun.epoch > 1) await page.read();
    else {
      const { journal, ...fresh } = begun;
      Object.assign(page.sitting, { state: "started", journal, attempt: { ...fresh, writer: true, answers: [], kept: 0, takeovers_left: null } });
    }
    await route();
  } catch (refusal) {
    if (room !== here) return;
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
  // What was read before may be old: until this tab was alone another one may have gone on writing the journal.
  if (await alone() || page.kept) {
    page.kept = null;
    if (!await page.resume()) await page.read();
  }
  await route();
  // What it keeps for a reload without a line is in nobody's way, so it comes after everything that is on the page.
  setTimeout(() => navigator.serviceWorker?.register("/sw.js").catch(() => null), KEEP_AFTER);
  const others = async () => {
    const own = page.sitting.journal?.name;
    if (await keepsOthers(own)) await (await import("./handover.js")).handOver(own);
  };
  setTimeout(() => others().catch(() => null), 5000 + Math.random() * 15_000); // what they left here is in nobody's way, and nobody waits for it
} catch (error) {
  page.failed(error);
}
