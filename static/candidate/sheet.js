// The question paper: one question at a time or all of them, the palette of all questions, flags and answers.

import { button, h } from "./element.js";
import { numbers } from "./frame.js";
import { answerField } from "./interactions.js";
import { fragment, inAll, plain } from "./markup.js";
import { clockTime, languages, say, textOf } from "./words.js";

const WIDE = 64; // rem, of the text as large as the person wants it, from which the palette stands beside the questions
const EMPTY = { response: null, flag: false, standing: "safe" };

export class Sheet {
  #fields = new Map(); // number → answer field, of the questions that are on the page
  #parts = new Map(); // number → {flag, clear, note} of the same
  #squares = new Map(); // number → button in the palette
  #own = new Map(); // number → language, of the questions that were switched by themselves
  #locked = false;
  #watcher = null;
  #news = null; // {before, left}: what is said over the question after a section has passed

  /**
   * `where` is what the journal remembers ({item, seen}); `moved(where)` is told to remember it, `review()` leaves the sheet.
   * `ends()` is when the sections end that have their own time; then only `range`, the one that is open, is on the page.
   */
  constructor({ paper, attempt, sync, frame, clock, where, fallback, moved, review, ends }) {
    Object.assign(this, { paper, attempt, sync, frame, clock, moved, review, ends });
    frame.paperFirst = fallback;
    this.items = new Map(paper.items.map((item) => [item.no, item]));
    this.order = paper.sections.flatMap((section) => section.items);
    this.seen = new Set(where?.seen ?? attempt.answers.map((answer) => answer.item));
    this.forward = paper.navigation === "forward";
    this.section = null; // the place of the one that is open, where they have their own time
    this.range = this.order;
    this.here = this.order.includes(where?.item) ? where.item : this.#latest();
    if (this.forward) this.here = this.#furthest();
    addEventListener("resize", () => this.#placePalette());
  }

  state(no) { return this.sync.items.get(no) ?? EMPTY; }

  /** The numbers of the questions without an answer, and of those marked for later; of the open section where there is one. */
  open() { return this.range.filter((no) => this.state(no).response === null); }

  flagged() { return this.range.filter((no) => this.state(no).flag); }

  /** When the section after the open one opens, in ms; null where none comes. */
  get later() { return this.section === null ? null : this.ends().slice(0, -1)[this.section] ?? null; }

  /** Another section is open now, the one at `place`; says so over its question unless it is the first that is shown. */
  pass(place) {
    this.flush(); // the last word typed still counts
    this.#news = this.section === null ? null : { before: this.section, left: this.open() };
    this.section = place;
    this.range = this.paper.sections[place].items;
    if (!this.range.includes(this.here)) this.here = this.forward ? this.#furthest() : this.range[0];
    if (this.#news) this.frame.announce(this.#passed().join(" "));
  }

  /** In words: a heading, and what became of the section before. Going back there is where time was given and the word of it came late. */
  #passed() {
    const { before, left } = this.#news;
    const [name, old] = [this.section, before].map((place) => plain(textOf(this.paper.sections[place].title, this.frame.paperLanguage())[1]));
    const values = { name, old, time: clockTime(this.ends()[this.section]) };
    if (before > this.section) return [say("section.again", values)];
    return [say("section.next", values), left.length ? say("section.left", { n: left.length, list: numbers(left) }) : say("section.done"), say("section.shut")];
  }

  /** Put the sheet on the page; `focus` moves to the question. */
  draw(focus = true) {
    this.flush();
    this.#watcher?.disconnect();
    this.#fields.clear();
    this.#parts.clear();
    this.all = this.frame.view() === "all" && !this.forward;
    const tongues = [this.frame.paperLanguage(), this.frame.secondLanguage()].filter(Boolean);
    if (String(tongues) !== String(this.languages)) this.#own.clear();
    this.languages = tongues;
    [this.lang] = tongues;
    this.body = h("div", { class: "sheet", "data-test": "sheet" });
    this.moves = h("nav", { class: "moves", "aria-label": say("question.all") });
    this.aside = h("aside", { class: "beside" });
    this.desk = h("div", { class: tongues.length > 1 ? "desk two" : "desk" }, h("div", { class: "work" }, this.#head(), this.body, this.moves), this.aside);
    this.frame.show(plain(textOf(this.paper.title, this.lang)[1]), this.#over(), this.#opened(), this.desk);
    this.#drawPalette();
    if (this.all) this.#drawAll(focus);
    else this.#drawOne(focus);
    this.lock(this.#locked);
    if (focus) document.getElementById("opened")?.focus();
  }

  /** The values that the engine holds now, into what is on the page. */
  refresh() {
    for (const [no, field] of this.#fields) field.set(this.state(no).response);
    this.marks();
  }

  /** The palette and the small signs of each question. */
  marks() {
    for (const [no, square] of this.#squares) {
      const { response, flag } = this.state(no);
      const standing = response !== null ? "answered" : this.seen.has(no) ? "open" : "unseen";
      square.dataset.state = standing;
      square.dataset.flag = flag ? "yes" : "no";
      square.setAttribute("aria-current", no === this.here ? "true" : "false");
      square.disabled = !this.#leads(no);
      const words = [say("question", { n: no }), say(`palette.${standing}`)];
      if (flag) words.push(say("palette.flagged"));
      square.setAttribute("aria-label", words.join(", "));
    }
    for (const [no, part] of this.#parts) {
      const { response, flag, standing } = this.state(no);
      part.flag.setAttribute("aria-pressed", String(flag));
      part.clear.hidden = response === null || this.#locked;
      part.note.textContent = standing === "kept" || standing === "refused" ? say(`question.${standing}`) : "";
    }
  }

  flush() {
    for (const field of this.#fields.values()) field.flush();
  }

  /** Stop or allow input; says so where the eye is. */
  lock(is) {
    const news = is !== this.#locked;
    if (is && news) this.flush(); // the last word typed still counts
    this.#locked = is;
    for (const field of this.#fields.values()) field.lock(is);
    for (const part of this.#parts.values()) part.flag.disabled = is;
    const over = document.getElementById("over");
    if (over) {
      over.hidden = !is;
      if (is && news) over.focus();
    }
    if (this.#squares.size) this.marks();
  }

  get locked() { return this.#locked; }

  /** Whether the palette leads to a question. */
  #leads(no) { return !this.forward && this.range.includes(no); }

  /** Go to a question. */
  go(no) {
    this.flush();
    this.#news = null;
    document.getElementById("opened")?.remove();
    this.here = no;
    this.frame.dismiss();
    if (this.all) {
      const title = document.getElementById(`q${no}-title`);
      title.scrollIntoView({ block: "start" });
      title.focus({ preventScroll: true });
      this.#see(no);
    } else {
      this.#drawOne(true);
      this.lock(this.#locked);
    }
  }

  // ---- parts of the page

  /** The last question of the range that was seen; its first, where none was. */
  #furthest() { return this.range.filter((no) => this.seen.has(no)).at(-1) ?? this.range[0]; }

  #latest() {
    const last = this.attempt.answers.reduce((a, b) => (a && (a.epoch - b.epoch || a.seq - b.seq) > 0 ? a : b), null);
    return last && this.order.includes(last.item) ? last.item : this.order[0];
  }

  #over() {
    return h("div", { id: "over", class: "over", tabindex: "-1", hidden: !this.#locked, "data-test": "over" },
      h("h2", {}, say("over.title")), h("p", {}, say("over.text")));
  }

  #opened() {
    if (!this.#news) return "";
    const [heading, ...text] = this.#passed();
    return h("div", { id: "opened", class: "over opened", tabindex: "-1", "data-test": "opened" }, h("h2", {}, heading), h("p", {}, text.join(" ")));
  }

  #head() {
    this.name = h("p", { class: "section", "data-test": "section" });
    if (this.paper.languages.length < 2) return h("div", { class: "head" }, this.name);
    const change = (name, act) => () => {
      act();
      this.frame.words();
      this.draw(false);
      document.getElementById(name).focus({ preventScroll: true });
    };
    const one = (code) => button(`paper-${code}`, null, languages[code] ?? code, change(`paper-${code}`, () => this.frame.choosePaper(code)),
      { lang: code, id: `paper-${code}`, "aria-pressed": String(code === this.lang) });
    const both = button("paper-both", "beside-it", say("paper.both"), change("paper-both", () => this.frame.toggleSecond()),
      { id: "paper-both", "aria-pressed": String(this.languages.length > 1) });
    return h("div", { class: "head" }, this.name, h("div", { class: "languages", role: "group", "aria-label": say("paper.language") },
      both, h("div", {}, this.paper.languages.map(one))));
  }

  #nameSection(no) {
    const section = this.paper.sections.find((each) => each.items.includes(no));
    const [lang, title] = textOf(section.title, this.lang);
    this.name.lang = lang;
    this.name.textContent = plain(title);
  }

  #question(no) {
    const item = this.items.get(no);
    const tongues = this.#tongues(item);
    const both = tongues.length > 1;
    const shown = both ? inAll(item, tongues) : item;
    const [lang, prompt] = textOf(shown.prompt, tongues[0]);
    const field = answerField(shown, {
      lang: tongues[0],
      seed: this.attempt.seed,
      response: this.state(no).response,
      changed: (response) => this.#change(no, { response }),
    });
    const flag = button("flag", "flag", [h("span", { class: "sign", "aria-hidden": "true" }, "⚑"), say("question.flag")],
      () => this.#change(no, { flag: !this.state(no).flag }));
    const clear = button("clear", "quiet clear", say("question.clear"), () => {
      field.flush();
      this.#change(no, { response: null });
      field.set(null);
      this.frame.announce(say("question.cleared", { n: no }));
      document.getElementById(`q${no}-title`).focus({ preventScroll: true });
    });
    const note = h("p", { class: "note", role: "status" });
    flag.hidden = this.forward; // there is no later
    this.#fields.set(no, field);
    this.#parts.set(no, { flag, clear, note });
    return h("article", { class: both ? "question both" : "question", id: `q${no}`, "data-test": "question", "data-item": no, "aria-labelledby": `q${no}-title` },
      h("header", {},
        h(this.all ? "h2" : "h1", { id: `q${no}-title`, tabindex: "-1" }, say("question", { n: no }),
          h("small", {}, ` ${say("question.of", { n: this.order.length })} · ${say("question.marks", { n: Number(item.marks) })}`)),
        flag, !both && this.#switch(item, lang)),
      h("div", { class: "prompt", id: `q${no}-prompt`, lang, "data-test": "prompt" }, fragment(prompt)),
      field.element, note, clear);
  }

  /** The languages in which a question stands: its own if it was switched by itself, else those of the sheet, as far as it has them. */
  #tongues({ no, prompt }) {
    if (this.#own.has(no)) return [this.#own.get(no)];
    const known = this.languages.filter((code) => prompt[code] !== undefined);
    return known.length ? known : [this.lang];
  }

  /** The button that shows one question in the next of its languages. */
  #switch({ no, prompt }, lang) {
    const known = this.paper.languages.filter((code) => prompt[code] !== undefined);
    if (known.length < 2) return "";
    const next = known[(known.indexOf(lang) + 1) % known.length];
    const name = languages[next] ?? next;
    const words = [h("span", { class: "sign", "aria-hidden": "true" }, "⇄"), h("span", { class: "unseen" }, say("question.switch"), " "), h("span", { lang: next }, name)];
    return button("switch", "quiet switch", words, () => {
      this.flush();
      this.#own.set(no, next);
      const old = document.getElementById(`q${no}`);
      const fresh = this.#question(no);
      old.replaceWith(fresh);
      if (this.all) this.#watcher.observe(fresh);
      this.lock(this.#locked);
      fresh.querySelector(".switch").focus({ preventScroll: true });
      this.frame.announce(say("question.switched", { n: no, language: name }));
    });
  }

  #change(no, part) {
    if (this.#locked) return;
    const { response, flag } = this.state(no);
    const state = { response, flag, ...part };
    if (!this.sync.change(no, state.response, state.flag, this.clock.wall())) return;
    this.marks();
  }

  #see(no) {
    this.seen.add(no);
    this.here = no;
    this.#nameSection(no);
    this.marks();
    this.moved({ item: no, seen: [...this.seen] });
  }

  #drawOne(focus) {
    const no = this.here;
    const at = this.range.indexOf(no);
    this.#fields.clear();
    this.#parts.clear();
    this.body.replaceChildren(this.#question(no));
    const last = at === this.range.length - 1;
    const arrow = (sign) => h("span", { "aria-hidden": "true" }, sign);
    this.moves.replaceChildren(
      button("previous", "quiet", [arrow("‹ "), say("question.previous")], () => this.go(this.range[at - 1]), { disabled: at === 0, hidden: this.forward }),
      this.#opener(),
      last
        ? button("next", "primary", say("review.short"), () => this.review())
        : button("next", "primary", [say("question.next"), arrow(" ›")], () => this.go(this.range[at + 1])),
    );
    this.#see(no);
    if (!focus) return;
    scrollTo(0, 0);
    document.getElementById(`q${no}-title`).focus({ preventScroll: true });
  }

  #drawAll(focus) {
    const shown = this.paper.sections.filter((section) => this.range.includes(section.items[0]));
    this.body.replaceChildren(...shown.flatMap((section) => {
      const [lang, title] = textOf(section.title, this.lang);
      return [h("h1", { class: "section-title", lang }, plain(title)), ...section.items.map((no) => this.#question(no))];
    }));
    this.moves.replaceChildren(this.#opener(), button("to-review", "primary", this.#toReview(), () => this.review()));
    this.body.addEventListener("focusin", (event) => {
      const no = Number(event.target.closest("article")?.dataset.item);
      if (no && no !== this.here) this.#see(no);
    });
    this.#watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.seen.add(Number(entry.target.dataset.item));
      this.marks();
    }, { threshold: 0.5 });
    for (const question of this.body.querySelectorAll("article")) this.#watcher.observe(question);
    this.#see(this.here);
    if (focus && !this.#news && this.here !== this.range[0]) this.go(this.here);
  }

  #toReview() { return say(this.later === null ? "review.go" : "review.short"); }

  #opener() {
    return button("open-palette", "quiet opener", say("question.all"),
      () => this.frame.ask("palette", say("palette.title"), [this.palette], [["close", say("close")]]), { "aria-haspopup": "dialog" });
  }

  #drawPalette() {
    this.#squares.clear();
    const sections = this.paper.sections.map((section, place) => {
      const [lang, title] = textOf(section.title, this.lang);
      const squares = section.items.map((no) => {
        const square = button("square", "square", say("{n}", { n: no }), () => this.go(no), { "data-item": no });
        this.#squares.set(no, square);
        return h("li", {}, square);
      });
      return h("section", {}, h("h3", { lang }, plain(title)), this.#when(place), h("ol", { class: "squares" }, squares));
    });
    const legend = ["answered", "open", "unseen", ...(this.forward ? [] : ["flagged"])].map((state) => h("li", {},
      h("span", { class: "square", "aria-hidden": "true", "data-state": state === "flagged" ? "open" : state, "data-flag": state === "flagged" ? "yes" : "no" }),
      say(`palette.${state}`)));
    const review = button("palette-review", "quiet", this.#toReview(), () => {
      this.frame.dismiss();
      this.review();
    });
    this.palette = h("nav", { class: "palette", "aria-label": say("palette.title"), "data-test": "palette" },
      ...sections, h("ul", { class: "legend" }, legend), review);
    this.#placePalette();
  }

  /** From when, or until when, a section with its own time is open. */
  #when(place) {
    if (this.section === null) return null;
    const [key, time] = place < this.section ? ["over", 0] : place === this.section ? ["until", this.ends()[place]] : ["from", this.ends()[place - 1]];
    return h("p", { class: "hint", "data-test": "section-when" }, say(`section.${key}`, { time: clockTime(time) }));
  }

  #placePalette() {
    if (!this.palette) return;
    const wide = innerWidth >= WIDE * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.desk.classList.toggle("wide", wide);
    if (wide === this.aside.contains(this.palette) || !this.aside.isConnected) return;
    if (wide) {
      this.frame.dismiss();
      this.aside.replaceChildren(h("h2", {}, say("palette.title")), this.palette);
    } else this.aside.replaceChildren();
  }

  /** In words, what is still open: sentences for the review page and for the last question before submitting. */
  left() {
    const open = this.open();
    const flagged = this.flagged();
    const sentences = [];
    if (open.length) sentences.push(say("review.open", { n: open.length, list: numbers(open) }));
    if (flagged.length) sentences.push(say("review.flagged", { n: flagged.length, list: numbers(flagged) }));
    return sentences;
  }
}
