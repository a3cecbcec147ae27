// Logging in: the page at "/", and the same form in a dialog when a session has ended in mid-exam.

import { button, choice, h } from "./element.js";
import { forgetKeys, keepsOthers } from "./journal.js";
import { insist, Refusal, send } from "./line.js";
import { look } from "./looks.js";
import { interfaces, languages, recall, remember, say, speak, spoken } from "./words.js";

/**
 * The form; `registration` is filled in and fixed where it is known. `entered(sitting)` hears of success and may answer with
 * a sentence that says why it will not do.
 */
export function loginForm({ registration = "", entered }) {
  const answer = h("p", { class: "answer-line", role: "alert", "data-test": "login-message" });
  const number = h("input", {
    id: "registration", type: "text", value: registration, readonly: registration !== "", maxlength: 64, autocomplete: "off",
    autocapitalize: "characters", spellcheck: "false", "data-test": "registration",
  });
  const code = h("input", {
    id: "code", type: "text", maxlength: 64, autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    "aria-describedby": "code-hint", "data-test": "code",
  });
  const go = button("login", "primary", say("login.go"), null, { type: "submit" });
  let trying = false;

  const enter = async (event) => {
    event.preventDefault();
    if (trying) return;
    const body = { registration: number.value.trim(), code: code.value.trim() };
    if (!body.registration || !body.code) {
      answer.textContent = say("login.missing");
      (body.registration ? code : number).focus();
      return;
    }
    trying = true;
    answer.textContent = "";
    go.textContent = say("login.busy");
    go.setAttribute("aria-disabled", "true");
    const told = (trouble) => {
      answer.textContent = trouble ? say(`login.${trouble === "busy" ? "server" : trouble}`) : "";
    };
    try {
      answer.textContent = (await entered(await insist(send, "POST", "/api/login", body, told))) ?? "";
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      const known = ["wrong_login", "wait", "safe_browser"].includes(refusal.error);
      answer.textContent = known
        ? say(`login.${refusal.error}`, { n: Math.ceil((refusal.body.retryAfter ?? 30_000) / 1000) })
        : refusal.message;
      code.focus();
      code.select();
    } finally {
      trying = false;
      go.textContent = say("login.go");
      go.removeAttribute("aria-disabled");
    }
  };

  return h("form", { class: "login", novalidate: true, onsubmit: enter, "data-test": "login-form" },
    h("p", { class: "field" }, h("label", { for: "registration" }, say("login.registration")), number),
    h("p", { class: "field" }, h("label", { for: "code" }, say("login.code")), code, h("span", { class: "hint", id: "code-hint" }, say("login.hint"))),
    answer, go);
}

/** The page at "/": the form, or the way back for somebody who is logged in already. */
async function page(main) {
  await speak(document.documentElement.lang);
  look();
  const typed = () => ["registration", "code"].map((id) => document.getElementById(id)?.value ?? "");
  const draw = (sitting, focus) => {
    const [number, code] = typed();
    document.title = `${say("login.title")} · ${say("hall")}`;
    const inside = sitting
      ? h("div", { class: "login" },
        h("p", {}, say("login.in", { name: sitting.candidate.name })),
        h("p", {}, h("a", { class: "primary", href: "/sitting", "data-test": "continue" }, say("login.continue"))),
        h("p", {}, button("logout", "quiet", say("logout"), async () => {
          await insist(send, "POST", "/api/logout", {}).catch(() => null);
          await forgetKeys().catch(() => null);
          remember("inside", "");
          draw(null, true);
        })))
      : loginForm({
        entered(fresh) {
          remember("inside", "yes");
          if (recall("interface") === null) remember("interface", fresh.candidate.language);
          location.assign("/sitting");
          return new Promise(() => {}); // the page is leaving
        },
      });
    main.replaceChildren(h("div", { class: "slip" },
      h("p", { class: "hall" }, say("hall")),
      h("h1", {}, say("login.title")),
      inside,
      choice("language", say("settings.language"), interfaces.map((each) => [each, languages[each]]), spoken(), async (each) => {
        await speak(each, true);
        draw(sitting);
        document.getElementById("language").focus();
      })));
    if (sitting) return;
    document.getElementById("registration").value = number;
    document.getElementById("code").value = code;
    if (focus) document.getElementById("registration").focus();
  };
  draw(null, true);
  const others = async () => {
    if (!await keepsOthers()) return;
    const { handOver } = await import("./handover.js");
    const left = await handOver();
    if (left.length) (await import("./rescue.js")).offerLeft(left);
  };
  setTimeout(() => others().catch(() => null), 1000 + Math.random() * 4000);
  // Logging in twice would make this a second device, so whoever is inside is shown the way back.
  if (recall("inside") !== "yes") return;
  const reply = await send("GET", "/api/sitting").catch(() => null);
  if (reply?.status === 200 && reply.body?.candidate) draw(reply.body);
}

const main = document.querySelector("main[data-page=login]");
if (main) page(main);
