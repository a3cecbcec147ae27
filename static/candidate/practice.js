// The practice questions of the waiting room: the same fields as in the exam, and nothing of them is kept or sent.

import { button, h } from "./element.js";
import { answerField } from "./interactions.js";
import { fragment } from "./markup.js";
import { say, spoken } from "./words.js";

const OPTIONS = ["a", "b", "c"];

/** Two questions in the language that is spoken; made anew when that changes, the answers stay as long as the page. */
export class Practice {
  #answers = new Map();

  #items() {
    const text = (key) => ({ [spoken()]: say(key) });
    return [
      { no: "practice-1", prompt: text("practice.choice"), interaction: {
        type: "choice", multiple: false, shuffle: false,
        options: OPTIONS.map((id) => ({ id, text: text(`practice.choice.${id}`) })),
      } },
      { no: "practice-2", prompt: text("practice.text"), interaction: { type: "text", max_length: 60 } },
    ];
  }

  draw() {
    return h("div", { class: "practice", "data-test": "practice-questions" },
      h("p", { class: "stamp" }, say("practice.stamp")),
      this.#items().map((item, i) => this.#question(item, i + 1)));
  }

  #question(item, n) {
    const { no } = item;
    const said = h("p", { class: "hint", role: "status", "data-test": "practice-said" });
    const field = answerField(item, {
      lang: spoken(),
      seed: 0,
      response: this.#answers.get(no) ?? null,
      changed: (response) => {
        this.#answers.set(no, response);
        clear.hidden = response === null;
        said.textContent = say(response === null ? "practice.cleared" : "practice.taken");
      },
    });
    const clear = button("practice-clear", "quiet clear", say("question.clear"), () => {
      field.flush();
      this.#answers.set(no, null);
      field.set(null);
      clear.hidden = true;
      said.textContent = say("practice.cleared");
      title.focus({ preventScroll: true });
    }, { hidden: (this.#answers.get(no) ?? null) === null });
    const title = h("h3", { id: `q${no}-title`, tabindex: "-1" }, say("practice.question", { n }));
    return h("article", { class: "question", "aria-labelledby": `q${no}-title`, "data-test": "practice-question" },
      title,
      h("div", { class: "prompt", id: `q${no}-prompt`, lang: spoken() }, fragment(item.prompt[spoken()])),
      field.element, said, clear);
  }
}
