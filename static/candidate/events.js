// Notes for the record what the exam says is noted of a sitting, while it lasts: how long the page or full screen was left, the
// line was down, how much was pasted. It stands outside of the way of the answers: what it knows is sent seldom and last,
// and let go rather than pressed on a server that has no time for it.

import { button, h } from "./element.js";
import { say } from "./words.js";

const EVERY = 60_000; // ms between two sendings, at least; up to half as much again
const BUSY = 5; // times as long when the server has no time
const LOOK = 5000; // ms between two looks at the line
const PARTING = 10_000; // ms over which a hall that has finished sends its last
const SHORT = 1000; // ms; whoever was away for less was not away
const APART = 2000; // ms; absences closer together are one
const MOST = 200; // what waits here
const LAST = 10_000; // number of an event
const AT_ONCE = 50;
const LONGEST = 86_400_000; // ms

const WINDOWS = ["away", "hidden"];

export class Watch {
  #page;
  #n;
  #waiting; // what is not done with: {n, kind, at (the server's time), span, …}; `open` while it lasts, `told` once sent, `held` there
  #since = new Map(); // n → when it began, by the device's own clock: that one goes on while the device sleeps
  #listening = new AbortController();
  #timers = [];
  #saving = 0;
  #slower = 1;
  #strip = null;

  /**
   * `records` as in the sitting; `kept` is what `keep(state)` was given by the page before, if there is any; `send` as in line.js;
   * `clock` is the page's; `line()` is the summary of the sync engine.
   */
  constructor({ records, kept, keep, send, clock, line }) {
    Object.assign(this, { records, keep, send, clock, line });
    this.#page = kept?.page ?? crypto.getRandomValues(new Uint32Array(1))[0] % (2 ** 31 - 1) + 1;
    this.#n = kept?.n ?? 0;
    this.#waiting = kept?.waiting ?? [];
    for (const event of this.#waiting) if (event.open) this.#close(event); // that page is gone, and this one is here
    const { signal } = this.#listening;
    const on = (target, names, act, options = {}) => { for (const name of names) target.addEventListener(name, act, { signal, ...options }); };
    if (records.includes("focus")) {
      on(window, ["blur", "focus", "pageshow"], () => this.#looked());
      on(document, ["visibilitychange"], () => this.#looked());
    }
    if (records.includes("paste")) on(document, ["paste"], (event) => this.#pasted(event), { capture: true });
    if (records.includes("fullscreen") && document.fullscreenEnabled) this.#screen(on);
    on(window, ["pagehide"], () => this.#save());
    this.#timers.push(setInterval(() => this.#look(), LOOK));
    this.#look();
    this.#later();
  }

  /** The sitting is over, or goes on elsewhere: send the rest, then be still. */
  finish() {
    this.#listening.abort();
    this.#timers.forEach(clearTimeout);
    this.#strip?.remove();
    for (const event of this.#waiting) if (event.open) this.#close(event);
    clearTimeout(this.#saving);
    this.keep = () => {};
    const rest = async (tries) => {
      if (this.#waiting.length && !await this.#tell() && tries < 3) setTimeout(() => rest(tries + 1), EVERY);
    };
    setTimeout(() => rest(1), Math.random() * PARTING);
  }

  // ---- notice

  #look() {
    if (this.records.includes("focus")) this.#looked();
    if (!this.records.includes("network")) return;
    const { trouble, downFor } = this.line();
    const open = this.#openOne(["offline"]);
    if (trouble === "down" && !open) this.#begin("offline", downFor);
    else if (trouble !== "down" && open) this.#end(open);
  }

  #looked() {
    const kind = document.visibilityState === "hidden" ? "hidden" : document.hasFocus() ? null : "away";
    const open = this.#openOne(WINDOWS);
    if (open && kind === "hidden" && !open.told) open.kind = kind;
    if (open && !kind) this.#end(open);
    else if (!open && kind) this.#begin(kind);
  }

  #pasted({ clipboardData, target }) {
    if (target.closest?.("dialog")) return; // an access code is nobody's business
    const characters = Math.min(clipboardData?.getData("text/plain").length ?? 0, 1_000_000);
    const item = Number(target.closest?.("[data-item]")?.dataset.item) || null;
    this.#add({ kind: "paste", at: this.clock.now(), span: null, item, characters });
  }

  /** Full screen, by our button or by the browser's own key. */
  #screen(on) {
    const whole = matchMedia("(display-mode: fullscreen)");
    const go = button("fullscreen", "primary", "", () => document.documentElement.requestFullscreen().catch(() => null));
    const words = h("p", {});
    this.#strip = h("div", { class: "notice", "data-test": "windowed" }, words, go);
    const speak = () => {
      words.textContent = say("fullscreen.text");
      go.textContent = say("fullscreen.go");
    };
    const seen = () => {
      const open = this.#openOne(["windowed"]);
      const inside = Boolean(document.fullscreenElement) || whole.matches;
      if (inside) this.#strip.remove();
      else document.getElementById("notices").after(this.#strip);
      if (open && inside) this.#end(open);
      else if (!open && !inside) this.#begin("windowed");
    };
    const tongue = new MutationObserver(speak);
    tongue.observe(document.documentElement, { attributeFilter: ["lang"] });
    this.#listening.signal.addEventListener("abort", () => tongue.disconnect());
    on(document, ["fullscreenchange"], seen);
    on(whole, ["change"], seen);
    speak();
    seen();
  }

  // ---- keep

  #openOne(kinds) { return this.#waiting.find((event) => event.open && kinds.includes(event.kind)); }

  #begin(kind, ago = 0) {
    const at = this.clock.now() - ago;
    const last = this.#waiting.findLast((event) => event.kind === kind);
    if (last && !last.told && at - last.at - last.span < APART) Object.assign(last, { open: true, span: null });
    else this.#add({ kind, at, span: null, open: true }, ago);
    this.#saveSoon();
  }

  #add(event, ago = 0) {
    if (this.#n >= LAST || this.#waiting.length >= MOST) return;
    this.#n += 1;
    this.#since.set(this.#n, Date.now() - ago);
    this.#waiting.push({ n: this.#n, ...event });
    this.#saveSoon();
  }

  #end(event) {
    this.#close(event);
    if (event.span < SHORT && !event.told) this.#waiting = this.#waiting.filter((each) => each !== event);
    this.#saveSoon();
  }

  #close(event) {
    const slept = Date.now() - (this.#since.get(event.n) ?? Date.now());
    event.open = false;
    event.span = Math.round(Math.min(Math.max(this.clock.now() - event.at, slept, 0), LONGEST));
  }

  #saveSoon() {
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#save(), 500);
  }

  #save() {
    clearTimeout(this.#saving);
    return this.keep({ page: this.#page, n: this.#n, waiting: this.#waiting });
  }

  // ---- send

  #later() {
    this.#timers.push(setTimeout(async () => {
      this.#timers.length = 1; // but the look at the line
      await this.#tell();
      if (!this.#listening.signal.aborted) this.#later();
    }, EVERY * this.#slower * (1 + Math.random() / 2)));
  }

  /** Send what is new, in one request; whether that is done with. */
  async #tell() {
    const fresh = this.#waiting.filter(({ open, held }) => !(open && held)).slice(0, AT_ONCE);
    if (!fresh.length) return true;
    for (const event of fresh) event.told = true;
    await this.#save(); // so that no later page gives these numbers again
    const now = this.clock.now();
    const events = fresh.map(({ n, kind, at, span, item, characters }) => ({
      n, kind, age: Math.round(Math.min(Math.max(now - at, 0), LONGEST)), span, ...(kind === "paste" && { item, characters }),
    }));
    const reply = await this.send("POST", "/api/events", { page: this.#page, events }, { priority: "low" }).catch(() => null);
    const later = [401, 403, 429].includes(reply?.status) || reply?.body?.error === "not_started"; // begun by code, say
    const busy = reply === null || later || reply.status >= 500 || reply.body === null;
    this.#slower = busy && reply ? BUSY : 1;
    if (busy) return false;
    const spans = new Map(events.map(({ n, span }) => [n, span]));
    const gone = (event) => reply.status >= 300 || (!event.open && (event.kind === "paste" || event.span === spans.get(event.n)));
    this.#waiting = this.#waiting.filter((event) => !spans.has(event.n) || !gone(event));
    for (const event of this.#waiting) event.held ||= spans.has(event.n);
    this.#saveSoon();
    return reply.status >= 300 || !this.#waiting.some(({ open }) => !open);
  }
}
