// The code that the invigilator reads out while the server is away: its field in the waiting room, and the envelope it opens.

import { button, h } from "./element.js";
import { bytesOf, hex } from "./paper.js";
import { say } from "./words.js";

const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH = 14; // the last one checks the others

/** A code as somebody typed it: its letters, or "" where they cannot be right. */
export function readCode(typed) {
  const code = typed.normalize("NFKC").toUpperCase()
    .replace(/[०-९]/g, (digit) => String(digit.charCodeAt(0) - 0x966))
    .replace(/[\s\p{P}\p{Cf}]/gu, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  const values = [...code].map((letter) => LETTERS.indexOf(letter));
  if (values.length !== LENGTH || values.includes(-1)) return "";
  let check = 0;
  for (const value of values.slice(0, -1)) { // in GF(32), each place with a weight of its own
    check = (check ^ value) << 1;
    if (check & 32) check ^= 0b100101;
  }
  return check === values.at(-1) ? code : "";
}

/** The key, in hex, of the paper `form`; null if it is not this code that opens the envelope. Takes a second on an old phone. */
export async function openEnvelope(code, { slot, rounds, salt, sealed }, form) {
  const utf8 = new TextEncoder();
  const typed = await crypto.subtle.importKey("raw", utf8.encode(code), "PBKDF2", false, ["deriveKey"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: bytesOf(salt), iterations: rounds };
  const opener = await crypto.subtle.deriveKey(how, typed, { name: "AES-GCM", length: 256 }, false, ["decrypt"]);
  const beside = utf8.encode(`exam-envelope-1:${slot}:${form}`);
  return crypto.subtle.decrypt({ name: "AES-GCM", iv: new Uint8Array(12), additionalData: beside }, opener, bytesOf(sealed)).then(hex, () => null);
}

/** The field for the code with `typed` in it; `open(code)` promises the sentence that says why it did not open, or "". */
export function codeForm(typed, open) {
  const answer = h("p", { class: "answer-line", role: "alert", "data-test": "code-message" });
  const field = h("input", {
    id: "hall-code", type: "text", value: typed, maxlength: 60, autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    translate: "no", "aria-describedby": "hall-code-hint", "data-test": "hall-code",
  });
  const go = button("open-paper", "primary", say("code.go"), null, { type: "submit" });
  let opening = false;

  const submit = async (event) => {
    event.preventDefault();
    if (opening) return;
    const code = readCode(field.value);
    answer.textContent = code ? "" : say("code.typo");
    if (code) {
      opening = true;
      go.textContent = say("code.opening");
      go.setAttribute("aria-disabled", "true");
      answer.textContent = await open(code).catch(() => say("failed.text"));
      go.textContent = say("code.go");
      go.removeAttribute("aria-disabled");
      opening = false;
    }
    if (!answer.textContent) return;
    field.focus();
    field.select();
  };

  return h("form", { class: "login", novalidate: true, onsubmit: submit, "data-test": "code-form" },
    h("p", { class: "field" }, h("label", { for: "hall-code" }, say("code.label")), field, h("span", { class: "hint", id: "hall-code-hint" }, say("code.hint"))),
    answer, go);
}
