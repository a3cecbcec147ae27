// How the page looks: candidate.css follows these data attributes of the document.

import { recall, remember } from "./words.js";

/** What can be chosen of each; the first holds until then. */
export const looks = {
  colours: ["auto", "light", "dark", "contrast"],
  size: ["100", "115", "130", "150"], // per cent of what the browser is set to
  spacing: ["normal", "wide"],
};

/** What holds of `name` now. */
export function lookOf(name) {
  const chosen = recall(name);
  return looks[name].includes(chosen) ? chosen : looks[name][0];
}

/** Look as this tab remembers it. */
export function look() {
  for (const name of Object.keys(looks)) document.documentElement.dataset[name] = lookOf(name);
}

/** Look like this from now on. */
export function choose(name, value) {
  remember(name, value);
  look();
}
