// The running exam and its end on the page: carries word between the sync engine, the clock, the announcements and the sheet.

import { drawEnd, drawReview, drawSubmitting, drawWords } from "./ending.js";
import { saveLine } from "./frame.js";
import { openJournal } from "./journal.js";
import { fetchPaper } from "./paper.js";
import { Sheet } from "./sheet.js";
import { Sync } from "./sync.js";
import { closeTools, offerTools } from "./tools.js";
import { clockTime, say, span } from "./words.js";

const THRESHOLDS = [30, 10, 5, 1]; // minutes at which a screen reader is told the time
const LAST_WORD = 40_000; // ms before the end; who has heard nothing for a minute then asks once for extra time

export class Attempt {
  engine = null;
  #journal = null;
  #sheet = null;
  #before = Infinity; // ms that were left at the last tick
  #lookAt = Infinity; // when to look whether the server has sealed
  #asked = false;
  #ending = false;
  #proved = Promise.resolve(null); // whether this device finds the receipt right; null where it cannot tell

  /** `page` is what exam.js shares: {sitting, clock, frame, notices, send, ask, read, show, failed, changeDevice, …}. */
  constructor(page) {
    this.page = page;
  }

  /** Whether time is running on a sheet on the page. */
  get running() { return this.#sheet !== null && this.page.sitting.state === "started"; }

  // ---- begin

  async #open(ended) {
    const { page } = this;
    const { kept } = page;
    page.kept = null; // it holds for the first time only
    this.#journal = kept?.journal ?? await openJournal(page.sitting.journal, () => this.showSaved());
    const { rows, marks, notes, damaged } = kept?.found ?? await this.#journal.load();
    this.engine = new Sync({
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
      });
    } catch {
      page.leave();
      return;
    }
    if (this.engine.halted === "ended") return; // it ended while the paper was on its way
    frame.paperLanguages = paper.languages;
    frame.views = true;
    this.#sheet = new Sheet({
      paper, frame, clock,
      sync: this.engine,
      attempt: sitting.attempt,
      where: notes.where,
      fallback: sitting.candidate.language,
      moved: (where) => this.#journal.note("where", where),
      review: () => this.#review(),
    });
    offerTools(sitting.exam.tools, page.key);
    this.#showSheet();
    if (!notes.paper) this.#journal.note("paper", paper);
    this.#keep();
    if (this.engine.halted) this.#halted({ why: this.engine.halted });
    setTimeout(() => import("./login.js").catch(() => null), 5000); // at hand if the session ends in mid-exam
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

  #review() {
    this.#sheet.flush();
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
    this.page.frame.save(saveLine(this.engine.summary()));
    this.#sheet?.marks();
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
    this.#sheet.refresh();
    if (!document.querySelector("[data-test=sheet], [data-test=review], [data-test=submitting]")) this.#showSheet();
  }

  #replied(body) {
    const { sitting, notices } = this.page;
    notices.saw(body.notices);
    const deadline = body.deadline ?? body.attempt?.deadline;
    if (!Number.isInteger(deadline) || deadline === sitting.attempt?.deadline) return;
    notices.say(deadline > sitting.attempt.deadline ? "time.more" : "time.changed", deadline);
    sitting.attempt.deadline = deadline;
    this.#keep();
    this.#before = Infinity;
    this.#asked = false;
    if (this.running) this.tick(this.page.clock.now());
  }

  async #halted({ why }) {
    if (why === "no_session") await this.#enterAgain();
    else if (why === "other_device" || why === "not_allowed") await this.page.changeDevice(why === "not_allowed");
    else if (why === "stale_device") {
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
    const { loginForm } = await import("./login.js").catch(() => import("./login.js?again")); // a failure is remembered by address
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
    const left = deadline - now;
    frame.timer(say(left > 0 ? "time.left" : "time.over"), span(left), say("time.until", { time: clockTime(deadline) }));
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
    if (body.state !== "started") await this.end().catch(this.page.failed);
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
    await page.read().finally(() => { this.#ending = false; });
    if (page.sitting.state === "started") return;
    this.#sheet = null;
    closeTools(page.sitting.receipt !== null);
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
