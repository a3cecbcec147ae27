// The running exam and its end on the page: carries word between the sync engine, the clock, the announcements and the sheet.

import { drawWords, saveLine } from "./frame.js";
import { openJournal } from "./journal.js";
import { lazily, surely } from "./line.js";
import { fetchPaper } from "./paper.js";
import { Sheet } from "./sheet.js";
import { Sync } from "./sync.js";
import { clockTime, recall, remember, say, span } from "./words.js";

const THRESHOLDS = [30, 10, 5, 1]; // minutes at which a screen reader is told the time
const ending = lazily((again) => import(`./ending.js${again}`));
const tools = lazily((again) => import(`./tools.js${again}`));
const RESCUE_AFTER = 120_000; // ms without a word from the server after which a rescue file is offered
const LAST_WORD = 40_000; // ms before the end; who has heard nothing for a minute then asks once for extra time

/** The place of the section that is open at `now`, of those that end at `ends`; the last one when all are over. */
const openAt = (ends, now) => (now < ends.at(-1) ? ends.findIndex((end) => now < end) : ends.length - 1);

export class Attempt {
  engine = null;
  #journal = null;
  #sheet = null;
  #before = Infinity; // ms that were left at the last tick
  #repeated = new Set(); // questions of the open section whose answer was sent once more
  #lookAt = Infinity; // when to look whether the server has sealed
  #asked = false;
  #ending = false;
  #watch = null; // what notes events for the record, once it has come
  #rescue = ""; // why a rescue file is offered just now
  #rescuer = null; // its module, once it is here
  #missing = 0; // how often that did not come
  #proved = Promise.resolve(null); // whether this device finds the receipt right; null where it cannot tell

  /** `page` is what exam.js shares: {sitting, clock, frame, notices, send, ask, read, show, failed, changeDevice, …}. */
  constructor(page) {
    this.page = page;
  }

  /** Whether time is running on a sheet on the page. */
  get running() { return this.#sheet !== null && this.page.sitting.state === "started"; }

  /** When the sections end that have their own time, else undefined. */
  get #ends() { return this.page.sitting.attempt?.section_ends; }

  // ---- begin

  async #open(ended) {
    const { page } = this;
    const { kept } = page;
    page.kept = null; // it holds for the first time only
    this.#journal = kept?.journal ?? await (page.journal ?? openJournal(page.sitting.journal, () => this.showSaved()));
    const { rows, marks, notes, damaged } = kept?.found ?? await this.#journal.load();
    const { epoch, key } = page.sitting.attempt;
    this.engine = new Sync({
      startBody: epoch === 0 ? { by: "code", key } : {},
      send: page.send,
      journal: this.#journal,
      later: (run, ms) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
      random: Math.random,
      monotonic: () => performance.now(),
      tell: (kind, detail) => this.#heard(kind, detail),
    });
    this.engine.open(page.sitting.attempt, rows, marks, page.clock.now(), ended);
    if (!navigator.onLine) this.engine.offline(true);
    if (damaged) page.frame.ask("damaged", say("damaged.title"), [say("damaged.text", { n: damaged })], [["close", say("close")]]);
    return notes;
  }

  /** Show the exam of a started sitting that this session may write. */
  async enter() {
    const { page } = this;
    const { sitting, frame, clock } = page;
    const notes = await this.#open(false);
    page.show(() => drawWords(frame, "fetching", say("paper.fetching"), ""));
    let paper;
    try {
      const { form, key } = sitting.attempt;
      paper = notes.paper ?? await page.sealed.open(form, key) ?? await fetchPaper(form, (trouble) => {
        if (trouble === "down") frame.save({ kind: "waiting", text: say("paper.down"), loud: true });
      }, page.sealed.bad ? "sealed" : "");
    } catch {
      page.leave();
      return;
    }
    if (this.engine.halted === "ended") return; // it ended while the paper was on its way
    frame.paperLanguages = paper.languages;
    frame.views = paper.navigation !== "forward";
    this.#sheet = new Sheet({
      paper, frame, clock,
      sync: this.engine,
      attempt: sitting.attempt,
      where: notes.where,
      fallback: sitting.candidate.language,
      moved: (where) => this.#journal.note("where", where),
      review: () => this.#review(),
      ends: () => this.#ends,
    });
    if (this.#ends) this.#sheet.pass(openAt(this.#ends, clock.now()));
    this.#showSheet();
    this.#offerTools(sitting.exam.tools?.length ? 0 : 5000); // where there are none, what others have noted is forgotten
    if (!notes.paper) this.#journal.note("paper", paper);
    this.#keep();
    if (this.engine.halted) this.#halted({ why: this.engine.halted });
    setTimeout(() => ending().catch(() => null), 3000 + Math.random() * 7000); // at hand when it is over
    setTimeout(() => this.#fetchRescue(), 10_000 + Math.random() * 10_000); // and if the line goes for good
    this.#watchOver(notes.events);
  }

  #offerTools(after) {
    setTimeout(async () => {
      const { offerTools } = await surely(tools);
      if (this.running) offerTools(this.page.sitting.exam.tools, this.page.key);
    }, after);
  }

  /** Note what the exam says is noted; nothing else ever waits for that. */
  #watchOver(kept, tries = 0) {
    const { records = [] } = this.page.sitting.exam;
    if (!records.length || tries > 5) return;
    setTimeout(async () => {
      try {
        const { Watch } = await import(`./events.js${tries ? `?${tries}` : ""}`); // a failure is remembered by address
        if (!this.running || this.#watch || this.engine.halted) return;
        const { clock, send } = this.page;
        const [keep, line] = [(state) => this.#journal.note("events", state), () => this.engine.summary()];
        this.#watch = new Watch({ records, kept, keep, send, clock, line });
      } catch {
        this.#watchOver(kept, tries + 1);
      }
    }, tries ? 30_000 : 2000);
  }

  #watchNoMore() {
    this.#watch?.finish();
    this.#watch = null;
  }

  /** What a page without a line goes on from. */
  #keep() {
    const { clock, sitting } = this.page;
    const { journal, ...rest } = sitting;
    this.#journal.note("sitting", { ...rest, ahead: clock.now() - clock.wall() });
  }

  #showSheet() {
    this.page.show(() => {
      this.#sheet.draw();
      this.showSaved();
    });
  }

  async #review() {
    this.#sheet.flush();
    const { drawReview, drawSubmitting } = await ending().catch(() => ({}));
    if (!this.running) return;
    if (!drawReview) {
      await this.page.frame.ask("missing", say("review.short"), [say("part.missing")], [["close", say("close")]]);
      return;
    }
    this.page.show(() => {
      drawReview({
        sheet: this.#sheet,
        frame: this.page.frame,
        submit: () => {
          this.page.show(() => drawSubmitting(this.page.frame));
          this.engine.submit();
        },
        back: (no) => {
          this.#sheet.here = no;
          this.#showSheet();
        },
      });
      this.showSaved();
    });
  }

  // ---- go on

  showSaved() {
    const summary = this.engine.summary();
    this.page.frame.save(saveLine(summary));
    this.#sheet?.marks();
    this.#offerRescue(summary);
  }

  /** Offer a file for the invigilator while answers wait here that cannot be sent: for long, or beyond the end. */
  async #offerRescue({ rows, trouble, downFor, halted }) {
    const { clock, sitting } = this.page;
    const over = clock.now() > sitting.attempt?.deadline;
    const stuck = halted === "too_many_kept" || (trouble && (over || downFor > RESCUE_AFTER));
    const why = rows && stuck && this.#journal.seals ? (over ? "rescue.over" : "rescue.waiting") : "";
    if (why === this.#rescue) return;
    this.#rescue = why;
    await this.#fetchRescue();
    if (!this.#rescuer) this.#rescue = ""; // the next second tries again
    else if (this.#rescue) {
      const { journal, candidate } = sitting;
      const waiting = () => this.engine.waiting();
      const collect = () => this.#rescuer.filesOf({ journal: this.#journal, handover: journal?.handover, waiting, as: candidate.registration });
      this.#rescuer.offer(this.#rescue, collect);
    } else this.#rescuer.withdraw();
  }

  async #fetchRescue() {
    try {
      this.#rescuer ??= await import(`./rescue.js${this.#missing ? `?${this.#missing}` : ""}`); // a failure is remembered by address
    } catch {
      this.#missing += 1;
    }
  }

  flush() {
    this.#sheet?.flush();
    this.engine?.flush();
    this.#journal?.lastWords();
  }

  /** Whether closing the page now would lose an answer. */
  wouldLose() {
    this.flush();
    return Boolean(this.engine?.unsent) && !this.#journal.durable;
  }

  #heard(kind, detail) {
    if (kind === "status") this.showSaved();
    else if (kind === "answers") this.#resumed();
    else if (kind === "reply") this.#replied(detail);
    else if (kind === "halted") this.#halted(detail);
    else if (kind === "ended") this.end().catch(this.page.failed);
    if (this.engine.halted === "ended") this.#settle();
  }

  #resumed() {
    if (!this.#sheet) return;
    this.page.frame.dismiss();
    this.#watchOver();
    this.#sheet.refresh();
    if (!document.querySelector("[data-test=sheet], [data-test=review], [data-test=submitting]")) this.#showSheet();
  }

  #replied(body) {
    const { sitting, notices } = this.page;
    notices.saw(body.notices);
    const epoch = body.attempt?.epoch ?? body.epoch;
    if (sitting.attempt?.epoch === 0 && epoch > 0) { // begun by code, and now the server has heard of it
      Object.assign(sitting.attempt, { epoch });
      this.#keep();
    }
    const { deadline, section_ends: ends } = body.deadline ? body : body.attempt ?? {};
    if (!Number.isInteger(deadline) || deadline === sitting.attempt?.deadline) return;
    const more = deadline > sitting.attempt.deadline ? "time.more" : "time.changed";
    Object.assign(sitting.attempt, { deadline, section_ends: ends });
    if (ends) notices.say("time.section.more", ends[openAt(ends, this.page.clock.now())]);
    else notices.say(more, deadline);
    this.#keep();
    this.#before = Infinity;
    this.#asked = false;
    if (this.running) this.tick(this.page.clock.now());
  }

  async #halted({ why }) {
    if (why === "no_session") await this.#enterAgain();
    else if (why === "other_device" || why === "not_allowed") await this.page.changeDevice(why === "not_allowed");
    else if (why === "stale_device") {
      this.#watchNoMore();
      const act = () => this.page.changeDevice();
      this.page.show(() => {
        drawWords(this.page.frame, "stopped", say("device.stopped"), say("device.stopped.text"), [["takeover", say("device.yes"), act]]);
        this.showSaved();
      });
    }
  }

  /** The session has ended in mid-exam: log in on top of the sheet, so that nothing on the page is lost. */
  async #enterAgain() {
    const { sitting, frame, key } = this.page;
    const { loginForm } = await import("./login.js");
    const entered = (fresh) => {
      if (key !== `${fresh.candidate.registration}|${fresh.slot.opens_at}`) return say("login.other.person", { name: sitting.candidate.name });
      frame.dismiss();
      this.engine.reread();
      return "";
    };
    while (this.engine.halted === "no_session") { // there is no way on but this one
      const form = loginForm({ registration: sitting.candidate.registration, entered });
      await frame.ask("login", say("login.again"), [say("login.again.why"), form], []);
    }
  }

  // ---- time

  tick(now) {
    const { sitting, frame, clock } = this.page;
    const { deadline } = sitting.attempt;
    const section = this.#ends ? openAt(this.#ends, now) : null;
    if (section !== this.#sheet.section) this.#pass(section, now);
    if (section !== null && now < this.#ends[section]) this.#again();
    const end = section === null ? deadline : this.#ends[section];
    const left = end - now;
    if (end < deadline) {
      const whole = { time: clockTime(end), left: span(deadline - now), end: clockTime(deadline) };
      frame.timer(say("time.section"), span(left), say("time.section.until", whole));
    } else frame.timer(say(left > 0 ? "time.left" : "time.over"), span(left), say("time.until", { time: clockTime(deadline) }));
    if (this.engine.summary().trouble) this.showSaved(); // it says for how long
    if (left > 0 && THRESHOLDS.some((minutes) => left <= minutes * 60_000 && this.#before > minutes * 60_000)) {
      frame.announce(say("time.minutes", { n: Math.ceil(left / 60_000) }));
    }
    this.#before = left;
    if (left <= 0 && !this.#sheet.locked) this.#lock();
    else if (left > 0 && this.#sheet.locked) this.#sheet.lock(false);
    if (left > 0 && left < LAST_WORD && clock.age() > 60_000 && !this.#asked) {
      this.#asked = true;
      setTimeout(() => this.look(), Math.random() * LAST_WORD / 2);
    }
    if (this.#sheet.locked && clock.monotonic() > this.#lookAt) {
      this.#lookAt = clock.monotonic() + 8000 + Math.random() * 4000;
      this.look();
    }
  }

  /** The section is over and the next one open; or, where time was given and the word of it came late, it is open again. */
  #pass(section, now) {
    const sheet = this.#sheet;
    sheet.pass(section);
    this.engine.kick();
    this.#before = this.#ends[section] - now; // it has just been said until when
    this.#asked = false;
    this.#repeated.clear();
    const { halted, submitting } = this.engine;
    if (submitting || (halted && !["no_session", "too_many_kept"].includes(halted))) return; // another page stands there
    if (!halted) this.page.frame.dismiss();
    this.#showSheet();
  }

  /** What came before its section was open is in no answer yet: it is sent once more when the section is. */
  #again() {
    for (const no of this.#sheet.range) {
      const { response, flag, standing } = this.#sheet.state(no);
      if (standing !== "kept" || this.#repeated.has(no)) continue;
      this.#repeated.add(no);
      this.engine.change(no, response, flag, this.page.clock.wall());
    }
  }

  #lock() {
    const { frame, clock, sitting } = this.page;
    this.#sheet.lock(true);
    this.engine.kick();
    this.#lookAt = clock.monotonic() + sitting.attempt.grace_ms + 1000 + Math.random() * 8000;
    frame.dismiss();
    if (!document.getElementById("over") && !this.engine.submitting) this.#showSheet();
    document.getElementById("over")?.focus();
    frame.announce(`${say("over.title")}. ${say("over.text")}`);
  }

  /** Read the sitting once, for what it says of time, announcements and the end; answers go the way of the engine. */
  async look() {
    const reply = await this.page.send("GET", "/api/sitting").catch(() => null);
    if (reply?.status === 401) this.engine.reread();
    const body = reply?.body;
    if (reply?.status !== 200 || !body?.state || this.page.sitting.state !== "started") return;
    if (body.state === "prepared") this.engine.kick(); // begun by code, and the start is on its way
    else if (body.state !== "started") await this.end().catch(this.page.failed);
    else {
      this.#replied(body);
      if (body.attempt.epoch !== this.engine.epoch) this.engine.reread();
    }
  }

  // ---- end

  /** Show the receipt of an attempt that has ended, and the result once there is one; hand over what is left on the device. */
  async end() {
    const { page } = this;
    if (this.#ending) return;
    this.#ending = true; // the engine and the clock may both have noticed
    let drawEnd = null;
    try {
      await page.read();
      if (page.sitting.state === "started") return;
      this.#sheet?.lock(true);
      // The page may be of a version that nobody serves any more. All is with the server, which has just answered.
      ({ drawEnd } = await surely(ending, recall("renewed") ? Infinity : 3).catch(() => {
        remember("renewed", "yes");
        location.reload();
        return new Promise(() => {});
      }));
    } finally {
      this.#ending = false;
    }
    this.#sheet = null;
    this.#watchNoMore();
    tools().then(({ closeTools }) => closeTools(page.sitting.receipt !== null)).catch(() => null);
    page.frame.dismiss();
    if (!this.engine) await this.#open(true);
    page.frame.views = false;
    page.frame.paperLanguages = [];
    page.show(() => {
      this.#proved = drawEnd({
        sitting: page.sitting,
        items: this.engine.items,
        frame: page.frame,
        logout: page.logout,
        look: async () => {
          await page.read();
          page.draw();
          await this.#proved; // #settle speaks first
          if (!page.sitting.result) document.getElementById("delivered").textContent = say("end.notyet");
        },
      });
      this.#settle();
    });
    if (!page.sitting.receipt) setTimeout(() => this.end().catch(page.failed), 2000 + Math.random() * 3000);
  }

  /** After the end: when everything has arrived and the receipt is right, nothing of it stays on the device. */
  async #settle() {
    this.showSaved();
    const place = document.getElementById("delivered");
    if (!place || !this.page.sitting.receipt) return;
    if (await this.#proved === false) return; // what this device knows is evidence now
    const words = say(this.engine.unsent ? "end.stay" : "end.delivered");
    if (place.textContent !== words) place.textContent = words;
    if (!this.engine.unsent) this.#journal.erase();
  }
}
