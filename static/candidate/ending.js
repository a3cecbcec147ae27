// Everything after the last answer: review, receipt and result.

import { button, h } from "./element.js";
import { plain } from "./markup.js";
import { receiptBox, receiptProof } from "./receipt.js";
import { clockTime, dayAndTime, digits, say, spoken, textOf } from "./words.js";

/** The review page over a sheet; `back(no)` returns to a question, `submit()` is called once it is sure. */
export function drawReview({ sheet, frame, back, submit }) {
  const open = sheet.open();
  const all = sheet.range.length;
  const count = open.length
    ? say("review.some", { answered: all - open.length, n: all })
    : say("review.done", { n: all });
  const squares = sheet.range.map((no) => {
    const { response, flag } = sheet.state(no);
    const words = say(response === null ? "palette.open" : "palette.answered");
    const line = [
      h("span", {}, say("question", { n: no })),
      h("span", { class: "state", "data-state": response === null ? "open" : "answered" }, words),
      flag && h("span", { class: "state", "data-flag": "yes" }, say("palette.flagged")),
    ];
    const what = { "data-item": no };
    return h("li", {}, sheet.forward ? h("p", { class: "line", "data-test": "review-item", ...what }, line)
      : button("review-item", "line", line, () => back(no), what));
  });
  const sure = async () => {
    const answer = await frame.ask("submit", say("review.sure"), [count, ...sheet.left(), say("review.final")],
      [["now", say("review.now")], ["not", say("review.not")]]);
    if (answer === "now") submit();
  };
  frame.show(say("review.title"), h("div", { class: "slip wide", "data-test": "review" },
    h("h1", {}, say("review.title")),
    h("p", { "data-test": "review-count" }, count),
    ...sheet.left().map((sentence) => h("p", { "data-test": "review-left" }, sentence)),
    h("ol", { class: "lines" }, squares),
    sheet.later !== null && h("p", { "data-test": "review-later" }, say("section.wait", { time: clockTime(sheet.later) })),
    h("div", { class: "buttons" },
      sheet.later === null && button("submit", "primary", say("review.submit"), sure),
      button("review-back", "quiet", say("review.back"), () => back(sheet.here)))));
}

/** Between the last click and the receipt. */
export function drawSubmitting(frame) {
  frame.show(say("review.sending"), h("div", { class: "slip", "data-test": "submitting" },
    h("h1", {}, say("review.sending")), h("p", {}, say("review.waiting"))));
}

function resultTable({ total, maximum, sections }) {
  const places = String(total).split(".")[1]?.length ?? 0;
  const short = (text) => {
    const [over, under] = String(text).split("/"); // sections are exact: a third is 1/3, and is shown as the total is rounded
    const decimal = under ? (over / under).toFixed(places) : over;
    return digits(decimal.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "").replace("-", "−"));
  };
  const number = (text) => h("td", { class: "number" }, short(text));
  const line = (name, lang, a, b) => h("tr", {}, h("th", { scope: "row", lang }, name), number(a), number(b));
  return [
    h("p", { class: "score", "data-test": "score" }, h("strong", {}, short(total)), ` / ${short(maximum)}`),
    h("table", { "data-test": "sections" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, say("result.section")), h("th", { scope: "col", class: "number" }, say("result.marks")),
        h("th", { scope: "col", class: "number" }, say("result.maximum")))),
      h("tbody", {}, sections.map((section) => {
        const [lang, title] = typeof section.title === "object" ? textOf(section.title, spoken()) : [null, section.title];
        return line(plain(title), lang, section.total, section.maximum);
      })),
      h("tfoot", {}, line(say("result.total"), null, total, maximum))),
  ];
}

/**
 * The receipt, and the result once it is released. `items` are what this device itself knows of the answers; `look()` asks
 * for the result, `logout()` leaves. Promises whether the device finds the receipt right; null where it cannot tell.
 */
export function drawEnd({ sitting, items, frame, look, logout }) {
  const { candidate, exam, receipt, result, state } = sitting;
  const [lang, title] = textOf(exam.title, spoken());
  const heading = result ? say("result.title") : say(state === "submitted" || receipt?.ended_by === "candidate" ? "end.submitted" : "end.sealed");
  const { box, same } = receipt ? receiptBox(sitting, items) : { same: Promise.resolve(null) };
  frame.show(heading, h("div", { class: "slip wide receipt", "data-test": result ? "result" : "receipt" },
    h("h1", {}, heading),
    h("p", { class: "who" }, candidate.name, h("br"), candidate.registration, h("br"), h("span", { lang }, plain(title)), ", ", dayAndTime(sitting.slot.opens_at)),
    result && resultTable(result),
    box ?? h("p", { role: "status", "data-test": "receipt-making" }, say("end.making")),
    !result && receipt && h("p", {}, say("end.result")),
    h("p", { id: "delivered", role: "status", "data-test": "delivered" }),
    h("div", { class: "buttons" },
      receipt && button("print", "primary", say("end.print"), () => print()),
      !result && receipt && button("look", "quiet", say("end.look"), look),
      button("logout", "quiet", say("logout"), logout)),
    receipt && receiptProof(receipt)));
  return same;
}
