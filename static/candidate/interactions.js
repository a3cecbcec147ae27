// The answer fields: plain form controls that work by touch, mouse, keyboard and screen reader as the browser makes them.
// Each kind gives {element, set(response), flush(), lock(is)}; what the candidate does goes to `changed(response)`.

import { button, choice, h } from "./element.js";
import { fragment, plain, rich } from "./markup.js";
import { gapsInOrder, inOrder } from "./order.js";
import { say, spoken, textOf } from "./words.js";

const SETTLE = 700; // ms without a key until a text is taken as it is
const LONGEST = 1000; // ms until it is taken anyway
const MOST_NUMBER = 64; // characters

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const letter = (i) => String.fromCharCode(65 + i);

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

/** What is sent of a typed text: no NUL, no half characters, and nothing at all if only what the grading calls blank is left. */
function typed(text) {
  const clean = text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "\ufffd");
  return /^[\s\x1c-\x1f\x85]*$/.test(clean) ? null : clean;
}

function written(item, { lang, changed }) {
  const { type, max_length: most = MOST_NUMBER, rows = 6, unit } = item.interaction;
  const numeric = type === "numeric";
  const essay = type === "essay";
  const long = essay || most > 200;
  const id = `q${item.no}-answer`;
  const hint = h("p", { class: "hint", id: `${id}-hint` }, numeric ? say("question.number") : "");
  const news = essay && h("p", { class: "unseen", role: "status" });
  const input = h(long ? "textarea" : "input", {
    id,
    type: long ? null : "text",
    rows: long ? rows : null,
    maxlength: most,
    class: numeric ? "number" : null,
    lang: numeric ? null : lang,
    autocomplete: "off",
    autocapitalize: essay ? "sentences" : "off",
    spellcheck: "false",
    "aria-labelledby": `${id}-label q${item.no}-prompt`,
    "aria-describedby": `${id}-hint`,
    "data-test": "text",
    oninput: () => {
      since ||= performance.now();
      clearTimeout(timer);
      const slow = Math.max(1, input.value.length / 1000); // a text is sent whole each time, so a long one less often
      timer = setTimeout(flush, Math.min(SETTLE * slow, Math.max(0, LONGEST * slow - (performance.now() - since))));
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
    if (essay) news.textContent = scarce();
  }
  function scarce() {
    const left = most - input.value.length;
    return left <= Math.max(10, most / 10) ? say("question.left", { n: left }) : "";
  }
  function room() {
    if (essay) hint.textContent = say("essay.count", { n: input.value.length, most });
    else if (!numeric) hint.textContent = scarce();
  }
  const [unitLang, unitText] = unit ? textOf(unit, lang) : ["", ""];
  const beside = unit && h("span", { lang: unitLang, class: "unit" }, fragment(unitText));
  return {
    element: group(item, "group",
      h("label", { for: id, id: `${id}-label`, class: "label" }, say("question.answer")),
      h("div", { class: "typed" }, input, beside),
      hint, news),
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
  const entries = [["", say("question.choose")], ...order.map((option, i) => [option.id, letters ? letter(i) : plain(text(option)[1])])];
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

function inlined(item, { lang, seed, changed }) {
  const { text, gaps, shuffle } = item.interaction;
  const lists = shuffle ? gapsInOrder(gaps, seed, item.no) : gaps.map((gap) => gap.options);
  const selects = new Map();
  let response = {};
  const gap = (id) => {
    const at = gaps.findIndex((each) => each.id === id);
    if (at < 0 || selects.has(id)) return [];
    const select = h("select", { id: `q${item.no}-g${at}`, "data-test": "gap", "data-gap": id, onchange: () => {
      response = { ...response, [id]: select.value };
      if (!select.value) delete response[id];
      changed(Object.keys(response).length ? response : null);
    } }, h("option", { value: "", lang: spoken() }, say("question.choose")), lists[at].map((option) => {
      const [found, words] = textOf(option.text, lang);
      return h("option", { value: option.id, lang: found }, plain(words));
    }));
    selects.set(id, select);
    return [h("label", { for: select.id, class: "unseen", lang: spoken() }, say("inline.gap", { n: selects.size, all: gaps.length })), select];
  };
  const [found, html] = textOf(text, lang);
  const body = h("div", { class: "gapped", lang: found }, fragment(html));
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  const pieces = [];
  while (walker.nextNode()) pieces.push(walker.currentNode);
  for (const piece of pieces) {
    const parts = piece.data.split(/\[\[([\w-]{1,32})\]\]/); // words and names of gaps in turn
    if (parts.length > 1) piece.replaceWith(...parts.flatMap((part, i) => (i % 2 ? gap(part) : part)));
  }
  return {
    element: group(item, "group", body),
    set(wanted) {
      response = { ...wanted };
      for (const [id, select] of selects) select.value = response[id] ?? "";
    },
    flush() {},
  };
}

/** A list to put into order: by two buttons at each entry, and by dragging it. Only the neighbours ever move in the page, so that
 *  the entry keeps the focus and the pointer. As long as nobody has moved or kept anything it is not answered. */
function ordered(item, { lang, seed, changed }) {
  const { options, shuffle } = item.interaction;
  const start = shuffle ? inOrder(options, seed, item.no) : options;
  const list = h("ol", { class: "order", role: "list", tabindex: "-1", "aria-labelledby": `q${item.no}-prompt` });
  const news = h("p", { class: "unseen", role: "status" });
  const state = h("p", { class: "hint", "data-test": "order-state" });
  const keep = button("order-keep", "quiet", say("order.keep"), () => {
    take();
    news.textContent = say("order.kept");
    list.focus({ preventScroll: true });
  });
  const read = () => Object.fromEntries([...list.children].map((row, i) => [i + 1, row.dataset.option]));
  let answered = false;
  let drag = null; // {row, from, moved}; `from` is where the pointer would be with the entry in its place

  function move(row, by) {
    const other = by < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return false;
    if (by < 0) row.after(other);
    else row.before(other);
    return true;
  }
  function mark() {
    state.textContent = say(answered ? "order.kept" : "order.open");
    keep.hidden = answered;
    const rows = [...list.children];
    rows.forEach((row, i) => {
      const [up, down] = row.querySelectorAll("button");
      up.setAttribute("aria-disabled", String(i === 0)); // not `disabled`: that would lose the focus at the end of the way
      down.setAttribute("aria-disabled", String(i === rows.length - 1));
    });
  }
  function take() {
    answered = true;
    mark();
    changed(read());
  }
  function tell(row, entry) {
    news.textContent = say("order.moved", { entry, n: [...list.children].indexOf(row) + 1, all: options.length });
  }
  function follow(event) {
    if (!drag) return;
    const { row } = drag;
    for (;;) {
      const by = event.pageY - drag.from;
      const other = by < 0 ? row.previousElementSibling : row.nextElementSibling;
      row.style.translate = `0 ${other ? by : 0}px`;
      // Some px more than half, so that no rounding sends the two to and fro.
      if (!other || Math.abs(by) <= other.offsetHeight / 2 + 4) break;
      const before = row.offsetTop;
      drag.moved = move(row, by);
      drag.from += row.offsetTop - before;
    }
    const edge = Math.min(120, innerHeight / 5);
    if (event.clientY < edge) scrollBy(0, -12);
    else if (event.clientY > innerHeight - edge) scrollBy(0, 12);
  }
  function drop() {
    if (!drag) return;
    const { row, moved, entry } = drag;
    drag = null;
    row.style.translate = "";
    delete row.dataset.drag;
    if (!moved) return;
    take();
    tell(row, entry);
  }
  const letters = start.some((option) => rich(textOf(option.text, lang)[1])); // a button's name has no formulas, so letters do
  const rows = new Map(start.map((option, i) => {
    const entry = letters ? letter(i) : plain(textOf(option.text, lang)[1]);
    const step = (name, sign, by, words) => button(name, "quiet", h("span", { "aria-hidden": "true" }, sign), () => {
      if (move(row, by)) take();
      row.scrollIntoView({ block: "nearest" });
      tell(row, entry);
    }, { "aria-label": words });
    const row = h("li", { "data-option": option.id, "data-test": "entry", onpointerdown: (event) => {
      const grip = event.pointerType === "mouse" ? !event.target.closest("button") : event.target.closest(".grip");
      if (drag || event.button || !grip || row.closest("fieldset").disabled) return;
      event.preventDefault(); // a mouse would select the text
      row.setPointerCapture(event.pointerId);
      row.dataset.drag = "yes";
      drag = { row, entry, from: event.pageY, moved: false };
    }, onpointermove: follow, onpointerup: drop, onpointercancel: drop, onlostpointercapture: drop },
    h("span", { class: "grip", "aria-hidden": "true" }, "≡"), letters && h("b", {}, entry), optionText(option, lang),
    step("order-up", "↑", -1, say("order.up", { entry })), step("order-down", "↓", 1, say("order.down", { entry })));
    return [option.id, row];
  }));
  return {
    element: group(item, "group", h("p", { class: "hint" }, say("order.hint")), list, state, keep, news),
    set(response) {
      if (drag) return; // what is in the hand counts
      answered = response !== null;
      const wanted = answered ? Object.keys(response).map((place) => response[place]) : start.map((option) => option.id);
      if (!same(wanted, Object.values(read()))) list.replaceChildren(...wanted.map((id) => rows.get(id)));
      mark();
    },
    flush: drop,
  };
}

const kinds = {
  choice: chosen, text: written, numeric: written, match: matched, inline: inlined, order: ordered, essay: written,
};

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
