// The waiting room: who, what, where, the rules, whether the device will do, a practice question, and a countdown on the
// server's time.

import { DeviceCheck } from "./device.js";
import { button, h } from "./element.js";
import { plain } from "./markup.js";
import { clockTime, dayAndTime, say, span, spoken, textOf } from "./words.js";

const SPREAD = 2000; // ms over which those who waited start
const REFRESH = 60_000; // ms between readings of the sitting, at least
const PATIENCE = 10_000; // ms for which a start may be on its way before the code is offered
const BACK = 5000; // ms; a hall whose line comes back does not ask in the same moment
const PERSON = "M30 6a14 14 0 1 1 0 28a14 14 0 1 1 0-28M4 76v-8c0-14 10-24 22-24h8c12 0 22 10 22 24v8";

/** The first letters of the first and the last name; a letter of Devanagari keeps its signs and joined consonants. */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words[0], words.at(-1)] : words;
  return ends.map((word) => word.match(/^\P{M}(?:\u094d\p{L}|\p{M})*/u)?.[0].toLocaleUpperCase() ?? "").join(" ");
}

function figure(name) {
  const of = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const drawing = of("svg", { viewBox: "0 0 60 80", "aria-hidden": "true" });
  drawing.append(of("path", { d: PERSON }));
  return h("div", { class: "portrait", "aria-hidden": "true", "data-test": "figure" }, drawing, h("span", {}, initials(name)));
}

/** The candidate's photo; where there is none, or it does not come, an outline with the initials, which says nothing new. */
function portrait({ name, photo }) {
  if (!photo) return figure(name);
  const picture = h("img", { class: "portrait", src: `/media/${encodeURIComponent(photo)}`, alt: say("waiting.photo", { name }), "data-test": "photo" });
  picture.addEventListener("error", () => picture.replaceWith(figure(name)));
  return picture;
}

export class WaitingRoom {
  #started = false;
  #startedAt = Infinity; // of the monotonic clock
  #waited = false;
  #state = "";
  #refreshAt = Infinity;
  #practice = null; // the practice questions while they are open
  #failures = 0; // how often they did not come
  #trial;
  #device;

  /**
   * `start()` starts the attempt, `refresh()` reads the sitting again, `codeForm(typed)` is the field for the code, or null where
   * it would open nothing; tick() has to be called each second.
   */
  constructor({ sitting, frame, clock, start, refresh, codeForm, unheard = false }) {
    Object.assign(this, { sitting, frame, clock, start, refresh, codeForm, unheard });
    this.#waited = unheard; // whoever loads the page anew while the server is away has been here before
    this.#device = new DeviceCheck(clock);
    this.#later();
  }

  #later() { this.#refreshAt = this.clock.monotonic() + REFRESH * (1 + Math.random() / 2); }

  draw() {
    const { candidate, exam, slot } = this.sitting;
    const [lang, title] = textOf(exam.title, spoken());
    const [inLanguage, district] = textOf(candidate.district, spoken());
    const row = (word, ...value) => [h("dt", {}, say(word)), h("dd", {}, ...value)];
    this.count = h("p", { class: "countdown", "data-test": "countdown" });
    this.words = h("p", { id: "waiting-words", role: "status" });
    const typed = this.code?.querySelector("input")?.value ?? "";
    this.code = h("div", { "data-test": "code-box" });
    this.typed = typed;
    this.button = button("start", "primary", say("waiting.start"), () => this.#begin(), { hidden: true });
    this.frame.show(say("waiting.title", { name: candidate.name }), h("div", { class: "slip wide", "data-test": "waiting" },
      h("div", { class: "who-sits" }, portrait(candidate), h("h1", {}, say("waiting.title", { name: candidate.name }))),
      h("div", { class: "opening-box" }, this.count, this.words, this.button, this.code),
      h("dl", { class: "facts" },
        row("waiting.exam", h("span", { lang }, plain(title))),
        row("waiting.when", dayAndTime(slot.opens_at)),
        row("waiting.length", `${say("waiting.minutes", { n: exam.minutes })}, ${say("waiting.questions", { n: exam.questions })}`),
        row("waiting.place", slot.hall),
        row("waiting.registration", candidate.registration),
        row("waiting.district", h("span", { lang: inLanguage }, district))),
      h("section", { class: "device" }, this.#device.draw()),
      this.#trial = h("section", { class: "trial", "aria-labelledby": "trial-title" }),
      h("h2", {}, say("waiting.rules")),
      h("ul", {}, this.#moving(), [...(exam.safe_browser ? ["browser"] : []), "save", "line", "clock"].map((rule) => h("li", {}, say(`waiting.rule.${rule}`)))), ...this.#noted()));
    this.#drawTrial();
    this.frame.save({ kind: "none", text: say("save.none"), loud: false }); // in the language that is spoken now
    this.#state = "";
    this.tick();
  }

  /** The rules of moving between questions and sections; they are known from the pin on. */
  #moving() {
    const { navigation, sections } = this.sitting.exam;
    const order = navigation === "forward" ? "forward" : sections ? "within" : "order";
    const one = ({ title, seconds }) => {
      const [lang, name] = textOf(title, spoken());
      return h("li", {}, h("span", { lang }, plain(name)), ": ", say("waiting.minutes", { n: Math.round(seconds / 6) / 10 }));
    };
    return [
      sections && h("li", { "data-test": "rule-sections" }, say("waiting.rule.sections", { n: sections.length }), h("ul", {}, sections.map(one))),
      navigation && h("li", { "data-test": "rule-order" }, say(`waiting.rule.${order}`)),
    ];
  }

  /** What the exam notes of a sitting, in plain words. */
  #noted() {
    const { records = [] } = this.sitting.exam;
    return records.length ? [h("h2", {}, say("waiting.noted")),
      h("ul", { "data-test": "noted" }, records.map((record) => h("li", {}, say(`waiting.noted.${record}`)))), h("p", {}, say("waiting.noted.so"))] : [];
  }

  #drawTrial(focus = "") {
    const open = this.#practice !== null;
    this.#trial.replaceChildren(
      h("h2", { id: "trial-title" }, say("practice.title")),
      h("p", {}, say("practice.why")),
      button("practice", "quiet", say(open ? "practice.close" : "practice.open"), () => this.#toggleTrial(), { "aria-expanded": String(open) }),
      open ? this.#practice.draw() : "");
    if (focus) this.#trial.querySelector(focus)?.focus();
  }

  async #toggleTrial() {
    if (this.#practice) this.#practice = null;
    else {
      try {
        const { Practice } = await import(`./practice.js${this.#failures ? `?${this.#failures}` : ""}`); // a failure is remembered by address
        this.#practice ??= new Practice();
      } catch {
        this.#failures++;
        this.frame.announce(say("practice.down"));
        this.#trial.querySelector("p").textContent = say("practice.down");
        return;
      }
    }
    this.#drawTrial(this.#practice ? "h3" : "button");
  }

  /** Read the sitting again, and take from it how the line is. */
  async #read() {
    this.#later();
    const asked = this.clock.monotonic();
    await this.refresh();
    const took = this.clock.monotonic() - asked;
    this.#device.read(took, this.clock.age() <= took);
  }

  #enter(state, words) {
    if (state === this.#state) return false;
    this.#state = state;
    this.words.textContent = words;
    this.count.hidden = state !== "countdown";
    this.button.hidden = state !== "open" && state !== "starting";
    return true;
  }

  tick() {
    const now = this.clock.now();
    const { opens_at: opens, closes_at: closes } = this.sitting.slot;
    if (this.#started && this.clock.monotonic() > this.#startedAt + PATIENCE) this.#offer();
    else if (this.#started) this.#enter("starting", say("waiting.starting"));
    else if (now < opens) {
      this.#waited = true;
      if (this.#enter("countdown", say("waiting.itself"))) this.count.setAttribute("aria-label", `${say("waiting.opens")} ${clockTime(opens)}`);
      this.count.replaceChildren(h("span", { class: "label" }, say("waiting.opens")), h("strong", {}, span(opens - now)));
    } else if (now > closes && !this.unheard) this.#enter("closed", say("waiting.closed", { time: clockTime(closes) }));
    else if (this.#waited && document.visibilityState === "visible") {
      this.#go(); // those who waited start by themselves, not all in the same millisecond
      this.#enter("starting", say("waiting.starting"));
      setTimeout(() => this.start(), Math.random() * SPREAD);
    } else if (this.#enter("open", say("waiting.open"))) this.button.focus();
    const soon = opens - now > 0 && opens - now < 5000;
    if (this.#device.tick()) this.#refreshAt = this.clock.monotonic() + Math.random() * BACK;
    if (!this.#started && !soon && this.clock.monotonic() > this.#refreshAt) this.#read();
  }

  #go() {
    this.#started = true;
    this.#startedAt = this.clock.monotonic();
  }

  /** The start does not get through: the code is another way in. */
  #offer() {
    const form = this.code.firstChild ? null : this.codeForm(this.typed);
    const ways = this.code.firstChild || form;
    this.#enter(ways ? "dark" : "dark.none", say(ways ? "waiting.dark" : "waiting.dark.none", { time: clockTime(this.sitting.slot.opens_at) }));
    if (form) this.code.append(form);
  }

  #begin() {
    if (this.#started) return;
    this.#go();
    this.button.textContent = say("waiting.starting");
    this.button.setAttribute("aria-disabled", "true");
    this.start();
  }

  /** The start was refused for now: show what holds. */
  again(sitting) {
    this.sitting = sitting;
    this.#started = false;
    this.#startedAt = Infinity;
    this.unheard = false;
    this.draw();
  }
}
