// What this device knows of the candidate's answers: every row, its number, and what became of it. No page, no network.

const byAge = (a, b) => a.epoch - b.epoch || a.seq - b.seq;

export class Ledger {
  /** The last state of each item: number → {response, flag, epoch, seq, standing: "safe" | "waiting" | "kept" | "refused"}. */
  items = new Map();
  epoch = null;
  watermark = 0;
  /** The highest seq given out in this epoch. */
  last = 0;
  /** Whether nothing can be written here any more; what was not acknowledged is then handed over for the quarantine. */
  closed = false;
  /** Settles when everything up to now is in the journal, or will never be. */
  written = Promise.resolve();

  /** How many writes the journal has not finished: until then nothing can be called kept. */
  writing = 0;

  #rows = []; // of all epochs, by epoch and seq
  #marks = {}; // epoch → highest seq that the server has acknowledged
  #left = []; // [{epoch, rows}] of epochs that can no longer be written
  #kept = new Map(); // row → reason

  constructor(journal) {
    this.journal = journal;
  }

  /** Begin from the sitting's `attempt`, with the rows and marks of the journal, or with our own when they are not given. */
  open({ epoch, watermark, answers }, rows = this.#rows, marks = this.#marks) {
    this.#rows = [...rows].sort(byAge);
    this.#marks = { ...marks };
    this.#left = [];
    this.items = new Map(answers.map((answer) => [answer.item, { ...answer, standing: "safe" }]));
    this.closed = false;
    if (epoch === null) {
      this.close();
      return;
    }
    this.epoch = epoch;
    this.watermark = watermark;
    // Rows that no acknowledgement has reached are sent again even below the watermark: what the server holds there
    // may be another page's, and only an answer to these very rows, or a conflict, can tell.
    const own = this.#of(epoch, Math.min(this.#marks[epoch] ?? 0, watermark));
    if (own.length && own[0].seq <= watermark && own.every((row, i) => row.seq === own[0].seq + i)) this.watermark = own[0].seq - 1;
    this.#follow([...own, ...this.#carry(answers)]);
  }

  close() {
    this.closed = true;
    this.#left = [];
    for (const epoch of new Set(this.#rows.map((row) => row.epoch))) this.#leave(epoch);
  }

  add(item, response, flag, at) {
    this.last += 1;
    const row = { epoch: this.epoch, seq: this.last, item, response, flag, at };
    this.#rows.push(row);
    this.#show(row, "waiting");
    this.#write(this.journal.append(row));
  }

  /** The rows of this epoch that the server has not acknowledged. */
  unsent() { return this.closed || this.epoch === null ? [] : this.#of(this.epoch, this.watermark); }

  /** The first epoch that has to be handed over: {epoch, rows}, or undefined. */
  get leftover() { return this.#left[0]; }

  /** Believe an acknowledgement up to `top`: of `rows`, which it was asked about, and of no others. */
  acknowledge(epoch, rows, top, reasons) {
    for (const row of rows.filter((each) => each.seq <= top)) {
      row.kept = reasons.get(row.seq);
      if (row.kept) this.#kept.set(row, row.kept);
      else for (const [old, why] of this.#kept) if (why === "section" && old.item === row.item) this.#kept.delete(old);
      this.#stand(row, row.kept ? "kept" : "safe");
    }
    if (top > (this.#marks[epoch] ?? 0)) {
      this.#marks[epoch] = top;
      this.journal.mark(epoch, top);
    }
    if (epoch === this.epoch && !this.closed) this.watermark = Math.max(this.watermark, top);
    for (const left of this.#left) if (left.epoch === epoch) left.rows = left.rows.filter((row) => row.seq > top);
    this.#left = this.#left.filter((left) => left.rows.length);
  }

  /** The server holds less than we believed: whether we have the rows to go back there. */
  rewind(watermark) {
    const after = this.#of(this.epoch, watermark);
    if (after[0]?.seq !== watermark + 1) {
      this.#marks[this.epoch] = watermark;
      return false;
    }
    this.watermark = watermark;
    for (const row of after) this.#stand(row, "waiting");
    return true;
  }

  /** Rows of a closed epoch whose numbers do not fit are numbered anew behind what the server holds there. */
  shift(epoch, watermark) {
    const left = this.#left.find((each) => each.epoch === epoch);
    if (left) left.rows = this.#replace(left.rows, left.rows.map((row, i) => ({ ...row, seq: watermark + 1 + i })));
  }

  /** The paper has no place for this row: it only fills its number from now on. */
  void(row) {
    row.void = true;
    this.#write(this.journal.append(row));
    this.#stand({ ...row, void: false }, "refused");
  }

  /** Every row that no acknowledgement has reached, those of closed epochs too. */
  waiting() { return [...this.unsent(), ...this.#left.flatMap((left) => left.rows)]; }

  /** Counts of questions for the status line. */
  count() {
    const states = [...this.items.values()];
    const waiting = this.waiting();
    return {
      known: states.length,
      safe: states.filter((state) => state.standing === "safe" && state.response !== null).length,
      waiting: new Set(waiting.map((row) => row.item)).size,
      rows: waiting.length,
      kept: new Set([...this.#kept.keys()].map((row) => row.item)).size,
      reason: [...this.#kept.values()].at(-1) ?? null,
      refused: [...this.items].filter(([, state]) => state.standing === "refused").map(([item]) => item),
    };
  }

  #of(epoch, above) { return this.#rows.filter((row) => row.epoch === epoch && row.seq > above); }

  #show(row, standing) {
    const { epoch, seq, response, flag } = row;
    if (!row.void) this.items.set(row.item, { epoch, seq, response, flag, standing });
  }

  /** Change the standing of an item, if this row is its last. */
  #stand(row, standing) {
    const state = this.items.get(row.item);
    if (!row.void && state?.epoch === row.epoch && state.seq === row.seq) state.standing = standing;
  }

  /**
   * Rows of other epochs that go on under the present one. They may only if nobody else has written in between: what
   * two devices wrote is never mixed, so otherwise they are handed over under their own epoch, for the quarantine.
   */
  #carry(answers) {
    const carried = [];
    for (const old of new Set(this.#rows.map((row) => row.epoch))) {
      if (old === this.epoch) continue;
      const lost = old > this.epoch; // the server has forgotten an epoch that it gave us: nothing of it is held
      const loose = this.#of(old, 0).filter((row) => lost || row.seq > (this.#marks[old] ?? 0) || row.kept === "stale_device");
      const between = (row) => row.epoch > old && row.epoch <= this.epoch;
      const mixed = answers.some((row) => between(row) && row.epoch < this.epoch) || this.#rows.some(between);
      if (mixed && !lost) this.#leave(old);
      else carried.push(...loose.filter((row) => !row.void));
    }
    return carried;
  }

  /** Give `rows` the numbers that follow the watermark. */
  #follow(rows) {
    const fresh = rows.map((row, i) => {
      const seq = this.watermark + 1 + i;
      return row.epoch === this.epoch && row.seq === seq ? row : { ...row, epoch: this.epoch, seq, kept: undefined };
    });
    for (const row of rows) if (!fresh.includes(row)) this.#kept.delete(row);
    this.#replace(rows.filter((row) => !fresh.includes(row)), fresh.filter((row) => !rows.includes(row)));
    for (const row of fresh) this.#show(row, "waiting");
    this.last = this.watermark + rows.length;
  }

  #leave(epoch) {
    const rows = this.#of(epoch, this.#marks[epoch] ?? 0);
    if (rows.length) this.#left.push({ epoch, rows });
  }

  #replace(old, fresh) {
    if (old.length) {
      this.#rows = [...this.#rows.filter((row) => !old.includes(row)), ...fresh].sort(byAge);
      this.#write(this.journal.replace(old, fresh));
    }
    return fresh;
  }

  #write(done) {
    this.writing += 1;
    const finished = Promise.resolve(done).finally(() => { this.writing -= 1; });
    this.written = Promise.all([this.written, finished]);
  }
}
