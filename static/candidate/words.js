// How the interface speaks: sentences from the catalogue of its language (words/en.po and so on, which the service turns into JSON), numbers and times.
// The language of the questions is a different matter: see `textOf`.

/** Languages in their own words; those of the interface are the ones that have a catalogue. */
export const languages = { en: "English", mr: "मराठी", hi: "हिन्दी" };
export const interfaces = ["en", "mr", "hi"];
const DEVANAGARI = ["mr", "hi"]; // languages whose digits are not 0 to 9

const choices = new Map();

/** A choice that lasts as long as the tab; where storage is refused, as long as the page. */
export function remember(name, value) {
  choices.set(name, String(value));
  try { sessionStorage.setItem(name, value); } catch { /* the page works without */ }
}

/** What was remembered under `name`, or null. */
export function recall(name) {
  try { return sessionStorage.getItem(name) ?? choices.get(name) ?? null; } catch { return choices.get(name) ?? null; }
}

const FORMS = ["zero", "one", "two", "few", "many", "other"]; // in the order in which gettext numbers those that a language has
const WHOLE = ["", ".rest"]; // both parts of a catalogue: what the first screens say, and what those that come later say
const catalogues = new Map();
let parts = WHOLE.slice(0, 1);
let language = "en";
let sentences = {};
let formOf = () => 0;
const zone = document.documentElement.dataset.zone || "Asia/Kolkata";

async function fetchPart(name) {
  if (catalogues.has(name)) return catalogues.get(name);
  // What the service makes of words/*.po; the address is right from here and from where this module is joined with others.
  const response = await fetch(new URL(`../joined/words/${name}.json`, import.meta.url));
  const found = response.ok ? await response.json() : {};
  if (!found.hall) throw new Error(`no catalogue ${name}`); // somebody's log-in page
  catalogues.set(name, found);
  return found;
}

async function fetchCatalogue(code) {
  for (;;) {
    const wanted = parts;
    const found = await Promise.all(wanted.map((part) => fetchPart(code + part)));
    if (wanted === parts) return Object.assign({}, ...found);
  }
}

/** Say from now on what later parts of the page say, too. Their files ask for it themselves, see exam/web/files.py. */
export async function speakWhole() {
  const before = parts;
  parts = WHOLE;
  try {
    const asked = language;
    const found = await fetchCatalogue(asked);
    if (asked === language) sentences = found;
  } catch (error) {
    parts = before;
    throw error;
  }
}

/** Speak `wanted` from now on, where we have it; what was `chosen` by the person outlasts what the server suggests. */
export async function speak(wanted, chosen = false) {
  const choice = chosen ? wanted : (recall("interface") ?? wanted);
  const next = interfaces.includes(choice) ? choice : "en";
  try {
    sentences = await fetchCatalogue(next);
  } catch (error) {
    if (sentences.hall) return; // the line is down: go on in the language that is here
    throw error;
  }
  language = next;
  if (chosen) remember("interface", language);
  const rules = new Intl.PluralRules(language);
  const forms = FORMS.filter((name) => rules.resolvedOptions().pluralCategories.includes(name));
  formOf = (n) => forms.indexOf(rules.select(n));
  document.documentElement.lang = language;
}

export const spoken = () => language;

/** Write the digits of `text` as the interface's language does. */
export function digits(text) {
  if (!DEVANAGARI.includes(language)) return String(text);
  return String(text).replace(/[0-9]/g, (digit) => String.fromCharCode(0x966 + Number(digit)));
}

/** The sentence `key`, with `{name}`s filled in; `n` also chooses between one and many. */
export function say(key, values = {}) {
  let text = sentences[key] ?? key;
  if (Array.isArray(text)) text = text[formOf(values.n)] ?? text.at(-1);
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? digits(values[name]) : values[name]));
}

/** The time of day of a server time, in the exam's own time zone; with seconds if asked. */
export function clockTime(ms, seconds = false) {
  const options = { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (seconds) options.second = "2-digit";
  return digits(new Intl.DateTimeFormat("en-GB", options).format(ms));
}

/** Weekday, day and time of a server time. */
export function dayAndTime(ms) {
  const numberingSystem = DEVANAGARI.includes(language) ? "deva" : "latn";
  const options = { timeZone: zone, weekday: "long", day: "numeric", month: "long", numberingSystem };
  return `${new Intl.DateTimeFormat(`${language}-IN`, options).format(ms)}, ${clockTime(ms)}`;
}

/** A length of time as a clock shows it, rounded up to the second: 1:29:30. */
export function span(ms) {
  const all = Math.max(0, Math.ceil(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(all / 3600);
  const rest = `${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  return digits(hours ? `${hours}:${rest}` : rest);
}

/** The entry of a text in `wanted`, or in its language of record: [language, words]. */
export function textOf(text, wanted) {
  const found = text[wanted] === undefined ? Object.keys(text)[0] : wanted;
  return [found, text[found] ?? ""];
}
