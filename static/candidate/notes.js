// Rough notes beside the questions: kept in this tab only, under the attempt's name, until the receipt (tools.js deletes them).

import { h } from "./element.js";
import { say } from "./words.js";

const LONGEST = 10_000; // characters

export class Notes {
  #text = "";
  #kept = true;

  /** `name` is what they are kept under. */
  constructor(name) {
    this.name = name;
    try {
      this.#text = sessionStorage.getItem(name) ?? "";
    } catch {
      this.#kept = false;
    }
  }

  draw() {
    this.warning = h("p", { class: "hint", role: "status", hidden: this.#kept }, say("tool.notes.memory"));
    this.area = h("textarea", {
      id: "notes-area", rows: 6, maxlength: LONGEST, spellcheck: "false", autocomplete: "off", "data-test": "notes-area",
      "aria-labelledby": "tool-title", "aria-describedby": "notes-why", oninput: () => this.#write(),
    });
    this.area.value = this.#text;
    return h("div", { class: "notes" }, h("p", { class: "hint", id: "notes-why" }, say("tool.notes.why")), this.warning, this.area);
  }

  focus() { this.area.focus(); }

  #write() {
    this.#text = this.area.value;
    try {
      sessionStorage.setItem(this.name, this.#text);
      this.#kept = true;
    } catch {
      this.#kept = false;
    }
    this.warning.hidden = this.#kept;
  }
}
