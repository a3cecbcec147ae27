// Elements, made without a line of HTML text.

/** An element with attributes and children; `onclick` and the like are listeners, false and null are left out. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A button that does `act`; `name` is its handle for tests, `look` its class, `more` what else it has. */
export function button(name, look, words, act, more = {}) {
  return h("button", { type: "button", class: look, "data-test": name, onclick: act, ...more }, words);
}

/** A label over a select; `entries` is [[value, words]], `changed` hears the value. */
export function choice(id, words, entries, value, changed) {
  const options = entries.map(([key, text]) => h("option", { value: key, selected: key === value }, text));
  return h("p", { class: "field" },
    h("label", { for: id }, words),
    h("select", { id, "data-test": id, onchange: (event) => changed(event.target.value) }, options));
}
