// The sync engine. It knows no page, no fetch and no clock of its own: all of that is handed in, so that a
// thousand bad mornings can be played through in a second. Rules: docs/candidate-protocol.md, sections 3 and 7.

import { Ledger } from "./ledger.js";

const LINGER = 250; // ms; changes made together travel together
const MOST_ROWS = 100;
const MOST_BYTES = 120 * 1024; // of the 128 KiB that the server takes
const KEEPALIVE_BYTES = 60 * 1024; // browsers refuse a keep-alive body above 64 KiB
const LONGEST_WAIT = 30_000; // ms
const TICKET_LASTS = 30_000; // ms for which the server goes by a ticket's arrival

const HELPLESS = ["no_session", "too_many_kept"]; // nothing at all can be sent

const utf8 = new TextEncoder();

/** The row as it travels. */
function wire({ seq, item, response, flag, at, void: empty }) {
  return empty ? { seq, item: 0, response: null } : { seq, item, response, flag, at };
}

/** A save of the longest beginning of `rows` that fits into one request; never empty unless `rows` is. */
function save(epoch, rows, most, bytes) {
  let size = 64;
  let n = 0;
  for (const row of rows) {
    size += utf8.encode(JSON.stringify(wire(row))).length + 1;
    if (n >= most || (n > 0 && size > bytes)) break;
    n += 1;
  }
  const part = rows.slice(0, n);
  return { kind: "save", method: "PUT", path: "/api/answers", epoch, rows: part, body: { epoch, answers: part.map(wire) } };
}

/** Whether this is our server speaking, not the log-in page of somebody's network. */
function understood({ kind }, { status, body }) {
  if (body === null || typeof body !== "object") return false;
  if (status >= 400) return typeof body.error === "string";
  if (kind === "sitting") return typeof body.state === "string";
  if (kind === "takeover" || kind === "start") return Number.isInteger(body.epoch);
  return Number.isInteger(body.watermark) && (kind === "save" || typeof body.state === "string");
}

export class Sync {
  /** Why this page may not write: null, "no_session", "other_device", "not_allowed", "stale_device", "too_many_kept", "ended". */
  halted = null;
  submitting = false;

  #ledger;
  #need = null; // "sitting", "takeover" or "start": what comes before any row
  #asked = false; // whether the sitting is read because the page asked
  #clashed = false; // whether it is read because our numbers were refused
  #most = MOST_ROWS;
  #flying = false;
  #put = null; // a request that was put off with a ticket: it is repeated as it was, so that its first arrival counts
  #flushed = "";
  #stopped = false;
  #cancel = null;
  #due = 0;
  #notBefore = 0;
  #tries = 0;
  #trouble = null;
  #since = 0;
  #offline = false;
  #savedAt = null;

  /**
   * `send(method, path, body, {keepalive, ticket})` answers {status, body (null if not JSON), retryAfter (ms or null)} and throws
   * when nothing came back; `later(run, ms)` answers a function that calls it off; `tell(kind, detail)` hears
   * "status", "answers", "reply", "halted" and "ended".
   */
  constructor({ send, journal, later, random, monotonic, tell, startBody = {} }) {
    Object.assign(this, { send, journal, later, random, monotonic, tell, startBody });
    this.#ledger = new Ledger(journal);
  }

  get items() { return this.#ledger.items; }

  get epoch() { return this.#ledger.epoch; }

  /** How many rows have not been acknowledged yet, in whatever way. */
  get unsent() { return this.#ledger.count().rows; }

  /** These rows, as they stand when the journal has what was written so far. */
  async waiting() {
    await this.#ledger.written;
    return this.#ledger.waiting();
  }

  /**
   * Resume from the sitting's `attempt` and the rows and marks of the journal; `now` is the server's time of reading. Epoch 0
   * is that of an exam begun by code, of which the server has not heard: the start comes before anything else then.
   */
  open(attempt, rows, marks, now, ended = false) {
    this.#savedAt = now;
    this.#ledger.open(ended ? { ...attempt, epoch: null } : attempt, rows, marks);
    if (ended || attempt.epoch === null) {
      this.#halt(ended ? "ended" : "stale_device");
      return;
    }
    this.halted = null;
    if (attempt.epoch === 0) this.#need = "start";
    this.tell("answers");
    this.tell("status");
    this.#plan(0);
  }

  /** Take one change of the candidate; false when this page may not write any more. `at` is the device's own time in ms. */
  change(item, response, flag, at) {
    if (this.epoch === null || (this.halted && this.halted !== "no_session")) return false;
    this.#ledger.add(item, response, flag, Math.max(0, Math.round(at)));
    this.tell("status");
    this.#ledger.written.then(() => { if (!this.#stopped) this.tell("status"); });
    this.#plan(LINGER);
    return true;
  }

  /** The page may be gone in a moment: hand everything unsent to the browser, which sends it without us. */
  flush() {
    if (this.halted || this.#need || this.#stopped) return;
    const request = save(this.epoch, this.#ledger.unsent(), MOST_ROWS, KEEPALIVE_BYTES);
    const mark = `${this.epoch}:${request.rows.at(-1)?.seq}`;
    if (!request.rows.length || mark === this.#flushed) return;
    this.#flushed = mark;
    this.send(request.method, request.path, request.body, { keepalive: true }).then((reply) => {
      this.#flushed = "";
      if (this.#stopped || request.epoch !== this.epoch || reply.status !== 200 || !understood(request, reply)) return;
      this.#calm();
      this.#accept(request, reply.body);
      this.tell("status");
    }, () => { this.#flushed = ""; });
  }

  /** Send without further waiting, for example because the line came back; what the server told us to wait stands. */
  kick() {
    if (this.#trouble === "busy") return;
    this.#notBefore = 0;
    this.#tries = Math.min(this.#tries, 1);
    this.#plan(this.#trouble ? this.random() * 1000 : 0);
  }

  /** The browser's own opinion of the line; it only colours the status. */
  offline(is) {
    if (is && !this.#offline && !this.#trouble) this.#since = this.monotonic();
    this.#offline = is;
    if (!is) this.kick();
    this.tell("status");
  }

  /** Become the writer, here and now; the device before is stopped. */
  takeover() { this.#ask("takeover"); }

  /** Read the sitting again and go on from it, for example after a new log-in. */
  reread() {
    this.#asked = true;
    this.#ask("sitting");
  }

  /** End the attempt, as soon as everything has arrived. */
  submit() {
    this.submitting = true;
    this.kick();
  }

  stop() {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** What the status line is made of: counts are of questions, `at` is the server's time, `downFor` is in ms. */
  summary() {
    const trouble = this.#trouble ?? (this.#offline ? "down" : null);
    return {
      ...this.#ledger.count(),
      at: this.#savedAt,
      trouble,
      downFor: trouble ? this.monotonic() - this.#since : 0,
      halted: this.halted,
      durable: this.journal.durable,
      written: this.#ledger.writing === 0,
    };
  }

  // ---- the loop: one request in flight, ever (but for flush)

  #plan(ms) {
    if (this.#stopped || this.#flying || !this.#next()) return;
    const due = Math.max(this.monotonic() + ms, this.#notBefore);
    if (this.#cancel && this.#due <= due) return;
    this.#cancel?.();
    this.#due = due;
    this.#cancel = this.later(() => {
      this.#cancel = null;
      this.#step();
    }, Math.max(0, due - this.monotonic()));
  }

  #next() {
    if (this.halted && (!this.#ledger.closed || HELPLESS.includes(this.halted))) return null;
    if (this.#need === "sitting") return { kind: "sitting", method: "GET", path: "/api/sitting" };
    if (this.#need === "takeover") return { kind: "takeover", method: "POST", path: "/api/takeover", body: {} };
    if (this.#need === "start") return { kind: "start", method: "POST", path: "/api/start", body: this.startBody };
    const unsent = this.#ledger.unsent();
    if (this.#put) {
      const { epoch, rows, kind } = this.#put;
      const same = epoch === this.epoch && unsent[0] === rows[0] && (kind === "save" || unsent.length === rows.length);
      if (same && !this.halted && this.monotonic() < this.#put.until) return this.#put;
      this.#put = null;
    }
    const request = save(this.epoch, unsent, this.#most, MOST_BYTES);
    if (this.submitting && !this.halted && request.rows.length === unsent.length) {
      return { ...request, kind: "submit", method: "POST", path: "/api/submit", body: { ...request.body, last_seq: this.#ledger.last } };
    }
    if (unsent.length) return request;
    const left = this.#ledger.leftover;
    return left ? save(left.epoch, left.rows, this.#most, MOST_BYTES) : null;
  }

  async #step() {
    for (let written = null; written !== this.#ledger.written;) { // the journal comes before the network
      written = this.#ledger.written;
      await written;
    }
    if (this.#flying || this.#stopped) return;
    const request = this.#next();
    if (!request) return;
    this.#flying = true;
    const options = request.ticket ? { ticket: request.ticket } : {};
    const reply = await this.send(request.method, request.path, request.body, options).catch(() => null);
    this.#flying = false;
    if (this.#stopped) return;
    if (reply?.status === 503 && typeof reply.body?.ticket === "string" && request.rows && !request.ticket) {
      this.#put = { ...request, ticket: reply.body.ticket, until: this.monotonic() + TICKET_LASTS };
    } else if (reply && reply.status < 500) this.#put = null;
    if (reply === null) this.#wait("down");
    else if (reply.status >= 500 || reply.status === 429) this.#wait("busy", reply.retryAfter);
    else if (!understood(request, reply)) this.#wait("proxy");
    else {
      this.#calm();
      if (reply.status < 300) this.#accept(request, reply.body);
      else this.#refuse(request, reply.body);
    }
    this.tell("status");
    this.#plan(0);
  }

  #calm() {
    this.#trouble = null;
    this.#offline = false;
    this.#notBefore = 0;
  }

  #wait(trouble, retryAfter = null) {
    if (!this.#trouble && !this.#offline) this.#since = this.monotonic();
    this.#trouble = trouble;
    this.#notBefore = this.monotonic() + (retryAfter ?? this.#jitter(1000));
    this.#tries += 1;
  }

  #jitter(first) { return this.random() * Math.min(LONGEST_WAIT, first * 2 ** Math.min(this.#tries, 6)); }

  #accept(request, body) {
    const { kind } = request;
    if (request.rows) this.#acknowledge(request, body);
    if (kind === "submit") this.#end(body);
    else if (kind === "takeover") this.#need = "sitting";
    else if (kind === "start") this.#need = body.epoch === this.epoch ? null : "sitting";
    else if (kind === "sitting") this.#reopen(body);
    this.tell("reply", body);
  }

  #reopen(sitting) {
    const { state, attempt, now } = sitting;
    const clashed = this.#clashed && attempt?.epoch === this.epoch;
    this.#need = null;
    this.#clashed = false;
    if (state === "prepared") this.#need = "start";
    else if (state !== "started") this.#end(sitting);
    else if (clashed) this.#need = "takeover";
    else if (attempt.epoch === null && this.#asked) this.#halt("other_device"); // the candidate decides before anything moves
    else this.open(attempt, undefined, undefined, now);
    this.#asked = false;
  }

  #end(body) {
    this.submitting = false;
    this.#need = null;
    if (this.halted === "ended") return;
    if (!this.#ledger.closed) this.#ledger.close();
    this.#halt("ended");
    this.tell("ended", body);
  }

  #acknowledge({ epoch, rows }, { watermark, now, kept = [] }) {
    const top = Math.min(watermark, rows.at(-1)?.seq ?? 0);
    if (rows.length && top < rows[0].seq) { // nothing taken: an answer we do not understand must not make us spin
      this.#wait("busy");
      return;
    }
    this.#tries = 0;
    this.#most = MOST_ROWS;
    if (Number.isInteger(now)) this.#savedAt = now;
    const reasons = new Map(kept.map(({ seq, reason }) => [seq, reason]));
    this.#ledger.acknowledge(epoch, rows, top, reasons);
    const over = kept.some(({ reason }) => reason === "stale_device" || reason === "closed");
    if (over && epoch === this.epoch && !this.#ledger.closed) this.#need = "sitting";
  }

  #refuse(request, { error, watermark, seq, message }) {
    const { kind, epoch, rows } = request;
    this.#tries += 1; // a refusal is answered at once the first times, with growing pauses if it comes again
    if (this.#tries > 2) this.#notBefore = this.monotonic() + this.#jitter(500);
    const present = epoch === this.epoch && !this.#ledger.closed;
    if (error === "no_session" || error === "too_many_kept") this.#halt(error);
    else if (error === "not_allowed" && kind === "takeover") this.#remain(message);
    else if (["stale_device", "other_device", "unknown_epoch", "ended"].includes(error)) this.#need = "sitting";
    else if (error === "not_started") this.#need = "start";
    else if ((error === "gap" || error === "conflict") && !present) this.#ledger.shift(epoch, watermark);
    else if (error === "gap" && this.#tries < 4 && this.#ledger.rewind(watermark)) return;
    else if (error === "gap" || error === "conflict") {
      this.#clashed = true; // a new epoch mends it, but first see whether we are still the one who writes
      this.#need = "sitting";
    } else if (error === "not_in_paper" && rows) this.#void(rows.find((row) => row.seq === seq) ?? rows[0]);
    else if ((error === "malformed" || error === "too_large") && rows?.length > 1) this.#most = Math.ceil(rows.length / 2);
    else if ((error === "malformed" || error === "too_large") && rows?.length) this.#void(rows[0]);
    else this.#wait(error === "safe_browser" ? error : "refused");
  }

  #void(row) {
    if (!row || row.void) {
      this.#wait("refused");
      return;
    }
    this.#tries = 0; // one row less to argue about: no reason to wait
    this.#notBefore = 0;
    this.#ledger.void(row);
  }

  #ask(need) {
    this.#need = need;
    this.halted = this.#ledger.closed ? "stale_device" : null;
    this.#notBefore = 0;
    this.tell("status");
    this.#plan(0);
  }

  /** No change of device is left: what was stopped stays stopped until the hall allows one. */
  #remain(message) {
    this.#need = null;
    if (this.halted === "stale_device") this.tell("halted", { why: "not_allowed", detail: message });
    else this.#halt("not_allowed", message);
  }

  #halt(why, detail) {
    const news = this.halted !== why;
    this.halted = why;
    if (news) this.tell("halted", { why, detail });
    this.tell("status");
    this.#plan(0);
  }
}
