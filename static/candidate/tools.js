// The tools that an exam allows beside its questions: buttons in the frame, and the panel in which one of them is open.
// A tool is fetched when it is first opened, or quietly before that, so that it is there if the line goes.

import { button, h } from "./element.js";
import { say } from "./words.js";

const KEPT = "notes|"; // in sessionStorage, with the attempt's name
const WIDE = 64; // rem, as for the palette: from here on there is room beside the questions
const QUIETLY = 20_000; // ms within which a hall fetches its tools

const KINDS = {
  calculator: { sign: "×÷", fetch: async (again) => new (await import(`./calculator.js${again}`)).Calculator() },
  notes: { sign: "✎", fetch: async (again, key) => new (await import(`./notes.js${again}`)).Notes(KEPT + key) },
};

let bar = null; // the buttons
let panel = null;
let open = ""; // the name of the tool in the panel
let made = {}; // name → tool
let failures = 0; // a module that did not come is remembered by its address, so it is asked for under another one
let offered = { names: [], key: "" };

/** Delete the notes in this tab, all or those of every attempt but `key`. */
function forget(key = null) {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(KEPT) && name !== KEPT + key) sessionStorage.removeItem(name);
  } catch { /* then nothing was kept */ }
}

async function fetchTool(name) {
  made[name] ??= await KINDS[name].fetch(failures ? `?${failures}` : "", offered.key);
  return made[name];
}

function close() {
  const name = open;
  open = "";
  panel?.close();
  panel?.replaceChildren();
  delete document.documentElement.dataset.tool;
  draw();
  return name;
}

function leave() {
  const name = close();
  bar.querySelector(`[data-test=tool-${name}]`)?.focus();
}

function place() {
  if (!open) return;
  const wide = innerWidth >= WIDE * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  document.documentElement.dataset.tool = wide ? "corner" : "foot";
}

function show(name, body) {
  open = name;
  panel.dataset.test = `panel-${name}`;
  panel.replaceChildren(
    h("div", { class: "tool-head" }, h("h2", { id: "tool-title" }, say(`tool.${name}`)), button("tool-close", "quiet", say("close"), leave)), body);
  place();
  if (!panel.open) panel.show();
  draw();
}

async function toggle(name) {
  if (open === name) {
    leave();
    return;
  }
  try {
    const tool = await fetchTool(name);
    if (!bar) return; // the exam ended meanwhile
    show(name, tool.draw());
    tool.focus();
  } catch {
    failures++;
    show(name, h("p", { role: "alert" }, say("tool.down")));
    panel.querySelector("button").focus();
  }
}

function draw() {
  if (!bar) return;
  const focused = bar.contains(document.activeElement) && document.activeElement.dataset.test;
  bar.setAttribute("aria-label", say("tool.group"));
  bar.replaceChildren(...offered.names.map((name) => button(`tool-${name}`, "tool-button",
    [h("span", { "aria-hidden": "true" }, KINDS[name].sign), h("span", { class: "tool-word" }, say(`tool.${name}`))],
    () => toggle(name), { "aria-expanded": String(open === name), title: say(`tool.${name}`) })));
  if (focused) bar.querySelector(`[data-test=${focused}]`)?.focus({ preventScroll: true });
}

/** The panel outlives the screens, so it hears by itself of another language and another size of the text. */
const listener = new MutationObserver((changes) => {
  place();
  if (!changes.some(({ attributeName }) => attributeName === "lang")) return;
  draw();
  if (open && made[open]) show(open, made[open].draw());
});
addEventListener("resize", place);

/** Offer the tools `names` of the attempt `key`, as the exam allows them. */
export function offerTools(names, key) {
  closeTools(false);
  forget(key);
  offered = { names: Object.keys(KINDS).filter((name) => names?.includes(name)), key };
  if (!offered.names.length) return;
  bar = h("div", { id: "tools", role: "group", "data-test": "tools" });
  panel = h("dialog", { id: "tool", "aria-labelledby": "tool-title", onkeydown: (event) => {
    if (event.key === "Escape") leave();
  } });
  document.getElementById("settings").before(bar);
  document.getElementById("top").classList.add("with-tools");
  document.body.append(panel);
  draw();
  listener.observe(document.documentElement, { attributeFilter: ["lang", "data-size"] });
  for (const name of offered.names) setTimeout(() => fetchTool(name).catch(() => { failures++; }), QUIETLY * (0.25 + Math.random()));
}

/** Take the tools away; with the receipt nothing of the notes stays in this tab. */
export function closeTools(received) {
  listener.disconnect();
  if (bar) {
    close();
    bar.remove();
    panel.remove();
    document.getElementById("top").classList.remove("with-tools");
  }
  [bar, panel, made] = [null, null, {}];
  if (received) forget();
}
