// The waiting room: who, what, where, the rules, and a countdown on the server's time.

import { button, h } from "./element.js";
import { plain } from "./markup.js";
import { clockTime, dayAndTime, say, span, spoken, textOf } from "./words.js";

const SPREAD = 2000; // ms over which those who waited start
const REFRESH = 60_000; // ms between readings of the sitting, at least

export class WaitingRoom {
  #started = false;
  #waited = false;
  #state = "";
  #refreshAt = Infinity;

  /** `start()` starts the attempt, `refresh()` reads the sitting again; tick() has to be called each second. */
  constructor({ sitting, frame, clock, start, refresh }) {
    Object.assign(this, { sitting, frame, clock, start, refresh });
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
    this.button = button("start", "primary", say("waiting.start"), () => this.#begin(), { hidden: true });
    this.frame.show(say("waiting.title", { name: candidate.name }), h("div", { class: "slip wide", "data-test": "waiting" },
      h("h1", {}, say("waiting.title", { name: candidate.name })),
      h("div", { class: "opening-box" }, this.count, this.words, this.button),
      h("dl", { class: "facts" },
        row("waiting.exam", h("span", { lang }, plain(title))),
        row("waiting.when", dayAndTime(slot.opens_at)),
        row("waiting.length", `${say("waiting.minutes", { n: exam.minutes })}, ${say("waiting.questions", { n: exam.questions })}`),
        row("waiting.place", slot.hall),
        row("waiting.registration", candidate.registration),
        row("waiting.district", h("span", { lang: inLanguage }, district))),
      h("h2", {}, say("waiting.rules")),
      h("ul", {}, ["order", "save", "line", "clock"].map((rule) => h("li", {}, say(`waiting.rule.${rule}`))))));
    this.#state = "";
    this.tick();
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
    if (this.#started) this.#enter("starting", say("waiting.starting"));
    else if (now < opens) {
      this.#waited = true;
      if (this.#enter("countdown", say("waiting.itself"))) this.count.setAttribute("aria-label", `${say("waiting.opens")} ${clockTime(opens)}`);
      this.count.replaceChildren(h("span", { class: "label" }, say("waiting.opens")), h("strong", {}, span(opens - now)));
    } else if (now > closes) this.#enter("closed", say("waiting.closed", { time: clockTime(closes) }));
    else if (this.#waited && document.visibilityState === "visible") {
      this.#started = true; // those who waited start by themselves, not all in the same millisecond
      this.#enter("starting", say("waiting.starting"));
      setTimeout(() => this.start(), Math.random() * SPREAD);
    } else if (this.#enter("open", say("waiting.open"))) this.button.focus();
    const soon = opens - now > 0 && opens - now < 5000;
    if (!this.#started && !soon && this.clock.monotonic() > this.#refreshAt) {
      this.#later();
      this.refresh();
    }
  }

  #begin() {
    if (this.#started) return;
    this.#started = true;
    this.button.textContent = say("waiting.starting");
    this.button.setAttribute("aria-disabled", "true");
    this.start();
  }

  /** The start was refused for now: show what holds. */
  again(sitting) {
    this.sitting = sitting;
    this.#started = false;
    this.draw();
  }
}
