// Announcements of the hall: fetched when their number grows, shown until they are read.

import { button, h } from "./element.js";
import { clockTime, recall, remember, say, spoken, textOf } from "./words.js";

export class Notices {
  #known = [];
  #latest = 0;
  #own = []; // [{notice, key, at}]: what the page itself has to announce
  #fetching = false;

  /** `send` as in line.js; `key` names the attempt whose read announcements this tab remembers. */
  constructor(send, key) {
    this.send = send;
    this.key = `read:${key}`;
    this.read = Number(recall(this.key) ?? 0);
  }

  /** The server says that `number` is the latest; fetch what is missing. A failure is made good at the next word from it. */
  async saw(number) {
    if (!Number.isInteger(number) || number <= this.#latest || this.#fetching) return;
    this.#fetching = true;
    try {
      const reply = await this.send("GET", `/api/notices?after=${this.#latest}`);
      if (reply.status !== 200 || !Array.isArray(reply.body?.notices)) return;
      this.#known.push(...reply.body.notices.filter((fresh) => !this.#known.some((old) => old.notice === fresh.notice)));
      this.#latest = number;
      this.draw();
    } catch {
      // the next acknowledgement carries the number again
    } finally {
      this.#fetching = false;
    }
  }

  /** Announce a sentence of the catalogue about a time, until it is read. */
  say(key, time) {
    this.#own = [{ notice: -time, key, time }];
    this.draw();
  }

  draw() {
    const place = document.getElementById("notices");
    const unread = [...this.#own, ...this.#known.filter((notice) => notice.notice > this.read)];
    const shown = new Map([...place.children].map((node) => [Number(node.dataset.notice), node]));
    for (const [number, node] of shown) if (!unread.some((notice) => notice.notice === number) || node.lang !== spoken()) node.remove();
    for (const notice of unread) {
      if (shown.get(notice.notice)?.isConnected) continue;
      const own = notice.key !== undefined;
      const [lang, text] = own ? [spoken(), say(notice.key, { time: clockTime(notice.time) })] : textOf(notice.text, spoken());
      const heading = own ? "" : `${say("notice.title")} ${clockTime(notice.at)} `;
      place.append(h("section", { class: "notice", lang: spoken(), "data-notice": notice.notice, "data-test": own ? "extra-time" : "notice" },
        h("p", {}, h("strong", {}, heading), h("span", { lang }, text)),
        button("notice-read", "quiet", say("notice.read"), () => this.#done(notice.notice))));
    }
  }

  #done(number) {
    this.#own = this.#own.filter((notice) => notice.notice !== number);
    this.read = Math.max(this.read, number);
    remember(this.key, this.read);
    this.draw();
    document.getElementById("main").focus({ preventScroll: true });
  }
}
