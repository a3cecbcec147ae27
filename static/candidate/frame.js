// What stands around every screen: the time, the save line, the settings, announcements to screen readers, and dialogs.

import { button, choice, h } from "./element.js";
import { choose, look, lookOf, looks } from "./looks.js";
import { clockTime, digits, interfaces, languages, recall, remember, say, speak, spoken } from "./words.js";

const byId = (id) => document.getElementById(id);
const SIGNS = { safe: "✓", waiting: "↑", stop: "!", none: "" };
const KEPT = { stale_device: "stale", section: "section" }; // reason of the quarantine → sentence
const STOPPED = ["stale_device", "other_device", "not_allowed"];

/** The save line of a summary of the sync engine: {kind: "safe" | "waiting" | "stop" | "none", text, loud: worth saying aloud}. */
export function saveLine(s) {
  const { waiting: n, durable, halted, trouble } = s;
  const memory = durable && s.written ? "" : ".memory"; // what is on its way to the disk is not kept yet
  const time = s.at === null ? "" : clockTime(s.at, true);
  const loud = (kind, ...texts) => ({ kind, text: texts.filter(Boolean).join(" "), loud: true });
  const quiet = (kind, ...texts) => ({ kind, text: texts.filter(Boolean).join(" "), loud: false });
  const kept = s.kept ? say(`save.${KEPT[s.reason] ?? "late"}`, { n: s.kept }) : "";
  const stay = durable ? "" : say("save.memory");

  if (halted === "no_session") return loud("stop", say(n ? "save.logged_out" : "save.logged_out.none", { n }));
  if (halted === "too_many_kept") return loud("stop", say("save.full"));
  if (STOPPED.includes(halted)) return loud("stop", say("save.stopped"), n ? say("save.handing", { n }) : kept);
  if (trouble === "down") {
    const minutes = Math.floor(s.downFor / 60_000);
    const text = n ? say(`save.down${memory}`, { n }) : say("save.down.none", { n: s.safe });
    return loud("waiting", text, minutes && say("save.downfor", { n: minutes }));
  }
  if (trouble === "busy" && n) return loud("waiting", say(`save.busy${memory}`, { n }));
  if (trouble && trouble !== "busy" && n) return loud("stop", say(`save.${trouble}`, { n }));
  if (halted === "ended" && n) return quiet("waiting", say("save.handing", { n }));
  if (n) return quiet("waiting", say(`save.sending${memory}`, { n }), stay);
  if (s.kept || s.refused.length) {
    const unfit = s.refused.length && say("save.unfit", { n: s.refused.length, list: numbers(s.refused) });
    return quiet("waiting", s.safe && say("save.some", { n: s.safe, time }), kept, unfit, stay);
  }
  if (s.safe) return quiet("safe", say(stay ? "save.some" : "save.safe", { n: s.safe, time }), stay);
  if (!durable) return quiet("waiting", stay);
  return s.known ? quiet("safe", say("save.clear", { time })) : quiet("none", say("save.none"));
}

/** Question numbers as a list in words. */
export function numbers(list) {
  return new Intl.ListFormat(`${spoken()}-IN`, { type: "conjunction" }).format(list.map((n) => say("{n}", { n })));
}

/** A page that only says something; `buttons` is [[name, words, act]]. */
export function drawWords(frame, name, title, text, buttons = []) {
  frame.show(title, h("div", { class: "slip", "data-test": name },
    h("h1", {}, title), h("p", {}, text),
    h("div", { class: "buttons" }, buttons.map(([id, words, act], i) => button(id, i ? "quiet" : "primary", words, act)))));
}

export class Frame {
  #loud = false;
  #close = null;

  /** `redraw` is called when the person changes a setting that the screen has to follow. */
  constructor(redraw) {
    this.redraw = redraw;
    this.paperLanguages = []; // of the paper on the page
    this.paperFirst = null; // the candidate's own
    this.views = false;
    look();
    document.addEventListener("click", (event) => {
      const settings = byId("settings");
      if (settings.open && !settings.contains(event.target)) settings.open = false;
    });
    document.addEventListener("keydown", (event) => {
      const settings = byId("settings");
      if (event.key !== "Escape" || !settings.open) return;
      settings.open = false;
      settings.querySelector("summary").focus();
    });
  }

  /** The language of the questions: chosen by the person, else the candidate's own. */
  paperLanguage() {
    const wanted = recall("paper") ?? this.paperFirst;
    return this.paperLanguages.includes(wanted) ? wanted : this.paperLanguages[0];
  }

  /** The language that stands beside it, or "". */
  secondLanguage() {
    const second = recall("second");
    return second !== this.paperLanguage() && this.paperLanguages.includes(second) ? second : "";
  }

  /** Show the questions in `code`; if it stood beside them until now, the two change places. */
  choosePaper(code) {
    if (code === this.secondLanguage()) remember("second", this.paperLanguage());
    remember("paper", code);
  }

  /** Show a second language beside the first, or none any more. */
  toggleSecond() {
    const at = this.paperLanguages.indexOf(this.paperLanguage());
    const next = this.paperLanguages[(at + 1) % this.paperLanguages.length];
    remember("second", this.secondLanguage() ? "" : next);
  }

  /** "one" question at a time or "all" of them. */
  view() { return recall("view") ?? "one"; }

  timer(label, value, end) {
    byId("timer-label").textContent = label;
    byId("timer-value").textContent = value;
    byId("ends").textContent = end;
  }

  /** Show the save line; only a change to or from trouble is announced, not each save. */
  save({ kind, text, loud }) {
    const line = byId("save");
    if (byId("save-words").textContent === text) return;
    line.dataset.kind = kind;
    line.querySelector(".sign").textContent = SIGNS[kind];
    byId("save-words").textContent = text;
    if (loud !== this.#loud) this.announce(text);
    this.#loud = loud;
  }

  /** Tell a screen reader; says nothing to the eye. */
  announce(text) {
    byId("live").textContent = "";
    setTimeout(() => { byId("live").textContent = text; }, 50);
  }

  /** Write the words of the frame again, in the language that is spoken now. */
  words(extra = []) {
    const settings = byId("settings");
    for (const node of document.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
    const again = (id) => { // everything is drawn anew, and the focus stays where the person is
      this.redraw();
      byId(id)?.focus({ preventScroll: true });
    };
    const change = (name, id) => (value) => {
      remember(name, value);
      again(id);
    };
    const tongues = (id, word, codes, value, changed, ...before) => { // each language in its own words, and marked as such
      const field = choice(id, say(word), [...before, ...codes.map((code) => [code, languages[code] ?? code])], value, changed);
      for (const option of field.querySelectorAll("option")) if (option.value) option.lang = option.value;
      return field;
    };
    const looking = (name, entries) => choice(name, say(`settings.${name}`), entries, lookOf(name), (value) => {
      choose(name, value);
      dispatchEvent(new Event("resize")); // what fits beside what follows the size of the text
    });
    byId("settings-body").replaceChildren(
      tongues("language", "settings.language", interfaces, spoken(), async (code) => {
        await speak(code, true);
        again("language");
      }),
      ...(this.paperLanguages.length > 1
        ? [tongues("paper-language", "settings.paper", this.paperLanguages, this.paperLanguage(), (code) => {
          this.choosePaper(code);
          again("paper-language");
        }),
        tongues("second-language", "settings.second", this.paperLanguages.filter((code) => code !== this.paperLanguage()),
          this.secondLanguage(), change("second", "second-language"), ["", say("settings.none")])]
        : []),
      this.views
        ? choice("view", say("settings.view"), [["one", say("settings.one")], ["all", say("settings.all")]], this.view(), change("view", "view"))
        : "",
      looking("size", looks.size.map((size) => [size, digits(`${size} %`)])),
      looking("spacing", looks.spacing.map((name) => [name, say(`settings.${name}`)])),
      looking("colours", looks.colours.map((name) => [name, say(`settings.${name}`)])),
      ...extra,
    );
    settings.querySelector("summary").textContent = say("settings");
  }

  /** Put a screen into the page and the focus on its heading; `title` names the page. */
  show(title, ...children) {
    byId("main").replaceChildren(...children);
    document.title = title;
    const heading = byId("main").querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus();
    scrollTo(0, 0);
  }

  /** Ask in a dialog; the value of the button, or null if it was dismissed. `buttons` is [[value, words]], the first is primary, the last harmless. */
  ask(name, title, paragraphs, buttons) {
    const dialog = byId("dialog");
    this.dismiss();
    return new Promise((done) => {
      const close = (value) => {
        this.#close = null;
        dialog.close();
        done(value);
      };
      this.#close = close;
      dialog.replaceChildren(
        h("h2", { id: "dialog-title" }, title),
        ...paragraphs.map((text) => (typeof text === "string" ? h("p", {}, text) : text)),
        h("div", { class: "buttons" }, buttons.map(([value, words], i) => button(`${name}-${value}`, i ? "quiet" : "primary", words, () => close(value),
          { autofocus: i === buttons.length - 1 }))), // the answer that changes nothing
      );
      dialog.dataset.test = `dialog-${name}`;
      dialog.oncancel = (event) => {
        event.preventDefault();
        close(null);
      };
      dialog.showModal();
    });
  }

  /** Close the dialog as if it had been dismissed, if there is one. */
  dismiss() { this.#close?.(null); }
}
