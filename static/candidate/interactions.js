// The answer fields: plain form controls that work by touch, mouse, keyboard and screen reader as the browser makes them.
// Each kind gives {element, set(response), flush(), lock(is)}; what the candidate does goes to `changed(response)`.

import { choice, h } from "./element.js";
import { fragment, plain, rich } from "./markup.js";
import { inOrder } from "./order.js";
import { say, textOf } from "./words.js";

const SETTLE = 700; // ms without a key until a text is taken as it is
const LONGEST = 1000; // ms until it is taken anyway
const MOST_NUMBER = 64; // characters

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function optionText(option, lang) {
  const [found, html] = textOf(option.text, lang);
  return h("span", { lang: found, class: "option-text" }, fragment(html));
}

function group(item, role, ...children) {
  return h("fieldset", { class: "answer", role, "aria-labelledby": `q${item.no}-title q${item.no}-prompt` }, ...children);
}

function chosen(item, { lang, seed, changed }) {
  const { multiple, shuffle, options } = item.interaction;
  const order = shuffle ? inOrder(options, seed, item.no) : options;
  const inputs = order.map((option) => h("input", {
    type: multiple ? "checkbox" : "radio",
    name: `q${item.no}`,
    value: option.id,
    "data-test": "option",
    onchange: () => changed(read()),
  }));
  const read = () => {
    const ids = inputs.filter((input) => input.checked).map((input) => input.value).sort();
    return ids.length ? (multiple ? ids : ids[0]) : null;
  };
  const rows = order.map((option, i) => h("label", { class: "option" }, inputs[i], optionText(option, lang)));
  return {
    element: group(item, multiple ? "group" : "radiogroup", multiple && h("p", { class: "hint" }, say("question.several")), ...rows),
    set(response) {
      const ids = new Set(Array.isArray(response) ? response : [response]);
      for (const input of inputs) input.checked = ids.has(input.value);
    },
    flush() {},
  };
}

/** What is sent of a typed text: no NUL, no half characters, and nothing at all if only blanks are left. */
function typed(text) {
  const clean = text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "\ufffd");
  return clean.trim() === "" ? null : clean;
}

function written(item, { lang, changed }) {
  const { type, max_length: most = MOST_NUMBER, unit } = item.interaction;
  const numeric = type === "numeric";
  const id = `q${item.no}-answer`;
  const hint = h("p", { class: "hint", id: `${id}-hint` }, numeric ? say("question.number") : "");
  const input = h(most > 200 ? "textarea" : "input", {
    id,
    type: most > 200 ? null : "text",
    rows: most > 200 ? 6 : null,
    maxlength: most,
    class: numeric ? "number" : null,
    lang: numeric ? null : lang,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-labelledby": `${id}-label q${item.no}-prompt`,
    "aria-describedby": `${id}-hint`,
    "data-test": "text",
    oninput: () => {
      since ||= performance.now();
      clearTimeout(timer);
      timer = setTimeout(flush, Math.min(SETTLE, Math.max(0, LONGEST - (performance.now() - since))));
      room();
    },
    onchange: () => flush(),
    onblur: () => {
      flush();
      if (numeric) hint.textContent = say(input.value.trim() && !/\p{Nd}/u.test(input.value) ? "question.nonumber" : "question.number");
    },
  });
  let timer = 0;
  let since = 0; // when the first key was pressed that has not been taken yet
  function flush() {
    clearTimeout(timer);
    if (!since) return;
    since = 0;
    changed(typed(input.value));
  }
  function room() {
    const left = most - input.value.length;
    if (!numeric) hint.textContent = left <= Math.max(10, most / 10) ? say("question.left", { n: left }) : "";
  }
  const [unitLang, unitText] = unit ? textOf(unit, lang) : ["", ""];
  const beside = unit && h("span", { lang: unitLang, class: "unit" }, fragment(unitText));
  return {
    element: group(item, "group",
      h("label", { for: id, id: `${id}-label`, class: "label" }, say("question.answer")),
      h("div", { class: "typed" }, input, beside),
      hint),
    set(response) {
      if (!since && input.value !== (response ?? "")) input.value = response ?? "";
      room();
    },
    flush,
  };
}

function matched(item, { lang, seed, changed }) {
  const { prompts, choices, shuffle } = item.interaction;
  const order = shuffle ? inOrder(choices, seed, item.no) : choices;
  const text = (option) => textOf(option.text, lang);
  const letters = order.some((option) => rich(text(option)[1])); // a list of choices shows letters only, so name them
  const name = (i) => String.fromCharCode(65 + i);
  const entries = [["", say("question.choose")], ...order.map((option, i) => [option.id, letters ? name(i) : plain(text(option)[1])])];
  let response = {};
  const rows = prompts.map((prompt, i) => {
    const id = `q${item.no}-p${i}`;
    const row = choice(id, optionText(prompt, lang), entries, "", (value) => {
      response = { ...response, [prompt.id]: value };
      if (!value) delete response[prompt.id];
      changed(Object.keys(response).length ? response : null);
    });
    const select = row.querySelector("select");
    select.lang = text(order[0])[0];
    select.dataset.test = "match";
    select.dataset.prompt = prompt.id;
    row.className = "pair";
    return { row, select, prompt };
  });
  const key = letters && h("ol", { class: "letters" }, order.map((option) => h("li", {}, optionText(option, lang))));
  return {
    element: group(item, "group", key, ...rows.map(({ row }) => row)),
    set(wanted) {
      response = { ...wanted };
      for (const { select, prompt } of rows) select.value = response[prompt.id] ?? "";
    },
    flush() {},
  };
}

const kinds = { choice: chosen, text: written, numeric: written, match: matched };

/** The answer field of an item, in `lang`, options in the attempt's order, showing `response`. */
export function answerField(item, { lang, seed, response, changed }) {
  let last = response;
  const field = kinds[item.interaction.type](item, {
    lang,
    seed,
    changed: (now) => {
      if (same(now, last)) return;
      last = now;
      changed(now);
    },
  });
  field.set(response);
  return {
    element: field.element,
    flush: field.flush,
    set(now) {
      last = now;
      field.set(now);
    },
    lock(is) { field.element.disabled = is; },
  };
}
