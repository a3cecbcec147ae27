// The calculator: what is typed is worked out exactly, in fractions of whole numbers, so that 0.1 + 0.2 is 0.3 and a third
// times three is one. Only what is shown is rounded, and then it says so.

import { button, h } from "./element.js";
import { digits, say } from "./words.js";

const LONGEST = 120; // characters of a calculation
const WHOLE = 30; // digits up to which a number is shown as it is
const ROUNDED = 20; // digits of one that does not end
const MOST = 10n ** 40n;
const LEAST = 10n ** 30n; // nothing nearer to 0 than one part of this
const ROOT = 10n ** 60n; // how finely a root is worked out
const LONG = 10n ** 200n; // a remembered number is kept no finer than this

/** A calculation that has no result; `word` names the sentence: "nought", "negative", "unclear" or "large". */
export class Unsolvable extends Error {
  constructor(word) {
    super(word);
    this.word = word;
  }
}

const gcd = (a, b) => {
  while (b) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
};
const fraction = (n, d) => {
  const by = d < 0n ? -gcd(n, d) : gcd(n, d);
  return { n: n / by, d: d / by };
};
const add = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
const negate = ({ n, d }) => ({ n: -n, d });
const times = (a, b) => fraction(a.n * b.n, a.d * b.d);
const divide = (a, b) => {
  if (!b.n) throw new Unsolvable("nought");
  return fraction(a.n * b.d, a.d * b.n);
};

function wholeRoot(n) {
  if (n < 2n) return n;
  let root = 1n << BigInt(Math.ceil(n.toString(2).length / 2));
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

function squareRoot({ n, d }) {
  if (n < 0n) throw new Unsolvable("negative");
  const [a, b] = [wholeRoot(n), wholeRoot(d)];
  return a * a === n && b * b === d ? { n: a, d: b } : fraction(wholeRoot(n * ROOT * ROOT / d), ROOT);
}

const SAME = { "×": "*", "÷": "/", "−": "-", "–": "-", x: "*", X: "*" };

/** The calculation in ASCII: digits of any script that the page writes, one sign for each operation, no thousands' commas. */
export function normal(text) {
  return text.replace(/[०-९]/g, (digit) => String(digit.charCodeAt(0) - 0x966)).replace(/[×÷−–xX]/g, (sign) => SAME[sign]).replaceAll(",", "");
}

function signs(text) {
  const found = normal(text).match(/\d+\.?\d*|\.\d+|[-+*/()%√]|\S/g) ?? [];
  if (found.some((sign) => !/^(\d+\.?\d*|\.\d+|[-+*/()%√])$/.test(sign))) throw new Unsolvable("unclear");
  return found;
}

function number(text) {
  const [before, after = ""] = text.split(".");
  return fraction(BigInt(before + after), 10n ** BigInt(after.length));
}

/**
 * The exact value {n, d} of a calculation; `known` maps a number as it was shown to what it stands for. As on a pocket
 * calculator 200 + 10% is 220: a percentage that is added or taken off is one of what stands before it.
 */
export function calculate(text, known = new Map()) {
  const all = signs(text);
  let at = 0;
  const next = (...wanted) => wanted.includes(all[at]) && all[at++];

  const primary = () => {
    if (next("(")) {
      const value = sum();
      if (!next(")")) throw new Unsolvable("unclear");
      return value;
    }
    const sign = all[at++];
    if (sign === undefined || !/\d/.test(sign)) throw new Unsolvable("unclear");
    return known.get(sign) ?? number(sign);
  };
  const root = () => (next("√") ? squareRoot(next("-") ? negate(root()) : root()) : primary());
  const factor = () => {
    if (next("-")) {
      const { value, share } = factor();
      return { value: negate(value), share };
    }
    if (next("+")) return factor();
    let value = root();
    let share = false;
    while (next("%")) {
      value = fraction(value.n, value.d * 100n);
      share = true;
    }
    return { value, share };
  };
  const term = () => {
    let { value, share } = factor();
    for (;;) {
      const sign = next("*", "/") || (["(", "√"].includes(all[at]) && "*"); // 2(3 + 4) is a product
      if (!sign) return { value, share };
      value = (sign === "*" ? times : divide)(value, factor().value);
      share = false;
    }
  };
  function sum() {
    let { value } = term();
    for (let sign = next("+", "-"); sign; sign = next("+", "-")) {
      const { value: other, share } = term();
      const change = share ? times(value, other) : other;
      value = add(value, sign === "+" ? change : negate(change));
    }
    return value;
  }

  if (!all.length) throw new Unsolvable("unclear");
  const value = sum();
  if (at < all.length) throw new Unsolvable("unclear");
  const size = value.n < 0n ? -value.n : value.n;
  if (size >= MOST * value.d || (size && size * LEAST < value.d)) throw new Unsolvable("large");
  return value.d < LONG ? value : fraction(value.n * LONG / value.d, LONG);
}

/** A value as a decimal number: {text, exact}; what does not end within 30 digits is rounded to 20. */
export function shown({ n, d }) {
  const size = n < 0n ? -n : n;
  const write = (scaled, places) => {
    const all = scaled.toString().padStart(places + 1, "0");
    const after = places ? all.slice(-places).replace(/0+$/, "") : "";
    return (n < 0n && scaled ? "-" : "") + (places ? all.slice(0, -places) : all) + (after && `.${after}`);
  };
  let rest = d;
  let places = 0;
  for (; places <= WHOLE && rest > 1n; places++) rest /= gcd(rest, 10n);
  if (rest === 1n && (places === 0 || (size * 10n ** BigInt(places) / d).toString().length <= WHOLE)) {
    return { text: write(size * 10n ** BigInt(places) / d, places), exact: true };
  }
  const whole = (size / d).toString();
  const noughts = size < d ? (d / size).toString().length - 1 : 0; // about as many stand behind the point
  const cut = size < d ? ROUNDED + noughts : Math.max(0, ROUNDED - whole.length);
  return { text: write((2n * size * 10n ** BigInt(cut) + d) / (2n * d), cut), exact: false };
}

// ---- on the page

const KEYS = [ // what it writes or does, and the word for who does not see the sign
  ["7"], ["8"], ["9"], ["÷", "divide"], ["(", "open"], [")", "shut"],
  ["4"], ["5"], ["6"], ["×", "times"], ["√", "root"], ["%", "percent"],
  ["1"], ["2"], ["3"], ["−", "minus"], ["M+", "add"], ["MR", "recall"],
  ["0"], [".", "point"], ["=", "equals"], ["+", "plus"], ["C", "clear"], ["⌫", "back"],
];
const TYPED = { "*": "×", "/": "÷", "-": "−", x: "×", X: "×", r: "√", R: "√" };
const WRITES = /^[\d०-९.,()%√×÷−+]+$/;
const GOES_ON = /^[+−×÷%]/; // takes the last result along

/** The calculator of one page; what stands in it and its memory stay while it is closed. */
export class Calculator {
  #text = "";
  #said = "";
  #memory = null;
  #known = new Map();
  #done = false; // a result stands there: the next number begins anew
  #value = null; // that result

  draw() {
    this.input = h("input", {
      type: "text", id: "calculation", class: "calculation", inputmode: "none", maxlength: LONGEST, autocomplete: "off", spellcheck: "false",
      value: this.#text, "aria-label": say("tool.calculation"), "data-test": "calculation",
      onbeforeinput: (event) => this.#typing(event),
      oninput: () => {
        this.#done = false;
        this.#text = this.input.value;
      },
    });
    this.said = h("output", { for: "calculation", "aria-live": "polite", "data-test": "calculator-said" }, this.#said);
    this.memory = h("p", { class: "memory", hidden: true });
    const keys = KEYS.map(([sign, word]) => button("calculator-key", sign === "=" ? "primary" : "quiet", digits(sign), () => this.#press(sign),
      { "data-key": sign, "aria-label": word && say(`tool.key.${word}`) }));
    const body = h("div", { class: "calculator", onkeydown: (event) => this.#key(event) },
      this.input, this.said, this.memory, h("div", { class: "keys" }, keys));
    this.#showMemory();
    return body;
  }

  focus() {
    this.input.focus();
    this.input.setSelectionRange(this.#text.length, this.#text.length);
  }

  #typing(event) {
    const { data } = event;
    if (data === null || event.isComposing) return;
    event.preventDefault();
    this.#write([...data].map((sign) => TYPED[sign] ?? sign).join(""));
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const onKey = event.target !== this.input;
    if (event.key === "=" || (event.key === "Enter" && !onKey)) this.#press("=");
    else if (onKey && event.key === "Backspace") this.#press("⌫");
    else if (onKey && event.key.length === 1 && event.key !== " ") this.#write(TYPED[event.key] ?? event.key);
    else return;
    event.preventDefault();
  }

  #write(signs, goesOn = GOES_ON.test(signs)) {
    if (!WRITES.test(signs)) return;
    const { input } = this;
    if (this.#done) {
      if (!goesOn) input.value = "";
      input.setSelectionRange(input.value.length, input.value.length);
    }
    this.#done = false;
    if (input.value.length + signs.length > LONGEST) return;
    input.setRangeText(signs, input.selectionStart, input.selectionEnd, "end");
    input.scrollLeft = input.scrollWidth;
    this.#text = input.value;
  }

  #press(sign) {
    const { input } = this;
    if (sign === "C") this.#set("", "");
    else if (sign === "⌫") {
      const to = input.selectionEnd;
      input.setRangeText("", input.selectionStart === to ? Math.max(0, to - 1) : input.selectionStart, to, "end");
      this.#text = input.value;
      this.#done = false;
    } else if (sign === "=") this.#work();
    else if (sign === "M+") this.#remember();
    else if (sign === "MR") {
      if (this.#memory) this.#write(this.#number(this.#memory).text, false);
    } else this.#write(digits(sign));
  }

  #set(text, said) {
    this.#text = text;
    this.input.value = text;
    this.#say(said);
  }

  #say(said) {
    this.#said = said;
    this.said.textContent = said;
  }

  /** A value as the page writes it; if it is used again, it is taken as exactly as it was. */
  #number(value) {
    const { text, exact } = shown(value);
    if (!exact) this.#known.set(text.replace("-", ""), value.n < 0n ? negate(value) : value);
    return { text: digits(text.replace("-", "−")), exact };
  }

  /** Works out what stands there; its value, or null with the reason said. */
  #work() {
    const asked = this.#text.trim();
    if (this.#done) return this.#value;
    if (!asked) return null;
    try {
      const value = calculate(asked, this.#known);
      const { text, exact } = this.#number(value);
      this.#set(text, `${asked} = ${exact ? text : say("tool.about", { value: text })}`);
      this.#done = true;
      this.#value = value;
      this.input.scrollLeft = 0;
      return value;
    } catch (error) {
      if (!(error instanceof Unsolvable)) throw error;
      this.#say(say(`tool.error.${error.word}`));
      return null;
    }
  }

  #remember() {
    const value = this.#work();
    if (!value) return;
    this.#memory = this.#memory ? add(this.#memory, value) : value;
    this.#showMemory();
  }

  #showMemory() {
    this.memory.hidden = this.#memory === null;
    if (this.#memory) {
      const value = this.#number(this.#memory).text;
      this.memory.replaceChildren(h("span", { "data-test": "memory" }, say("tool.memory", { value })), " ", button("forget", "quiet", "MC", () => {
        this.#memory = null;
        this.#showMemory();
        this.focus();
      }, { "aria-label": say("tool.forget"), title: say("tool.forget") }));
    }
  }
}
