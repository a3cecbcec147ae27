// The device's own journal of answers, in IndexedDB. It is written before the network and kept until the receipt.
// Where the browser refuses storage everything works on, `durable` is false, and the page says so.

const PATIENCE = 1500; // ms; a slow disk must not hold up the sending

function openDatabase(factory) {
  return new Promise((done, failed) => {
    setTimeout(() => failed(new Error("no answer")), 2 * PATIENCE); // some browsers never say yes or no
    const request = factory.open("exam-journal", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("rows", { keyPath: ["attempt", "epoch", "seq"] });
      request.result.createObjectStore("notes", { keyPath: ["attempt", "name"] });
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
    request.onblocked = () => failed(new Error("blocked"));
  });
}

export class Journal {
  #database;
  #attempt;
  #changed;
  #writing = []; // changes on their way to the disk, in order: {old, fresh}
  #last; // the name under which last words are kept
  #spoken = false;

  constructor(database, attempt, changed) {
    this.#database = database;
    this.#attempt = attempt;
    this.#changed = changed;
    this.#last = `exam-last|${attempt}`;
    if (database) {
      database.onversionchange = () => {
        database.close();
        this.#refused();
      };
      database.onclose = () => this.#refused();
    }
  }

  /** Whether what is written here outlives a reload. */
  get durable() { return this.#database !== null; }

  /** Everything that this device knows of the attempt: {rows, marks: {epoch: acknowledged seq}, notes}. */
  async load() {
    const found = { rows: [], marks: {}, notes: {} };
    try {
      const [rows, notes] = await this.#run(["rows", "notes"], "readonly", (transaction) => {
        const mine = IDBKeyRange.bound([this.#attempt], [this.#attempt, []]);
        return [transaction.objectStore("rows").getAll(mine), transaction.objectStore("notes").getAll(mine)];
      });
      found.rows = rows.map(({ attempt, ...row }) => row);
      for (const { name, value } of notes) {
        if (name.startsWith("mark:")) found.marks[name.slice(5)] = value;
        else found.notes[name] = value;
      }
    } catch {
      this.#refused();
    }
    for (const { old, fresh } of this.#heardLast()) {
      const gone = [...old, ...fresh];
      found.rows = found.rows.filter((row) => !gone.some(({ epoch, seq }) => row.epoch === epoch && row.seq === seq));
      found.rows.push(...fresh);
      this.replace(old, fresh);
    }
    return found;
  }

  /** Write one row; resolves when it is on the device, or when that has failed or lasts too long. Never rejects. */
  append(row) {
    return this.replace([], [row]);
  }

  /** Take `old` rows out and put `fresh` ones in, both or neither. */
  replace(old, fresh) {
    if (this.#spoken) this.#heardLast(); // the page lived on: those words are not the last
    const change = { old: old.map(({ epoch, seq }) => ({ epoch, seq })), fresh };
    this.#writing.push(change);
    return this.#write("rows", (rows) => {
      for (const row of old) rows.delete([this.#attempt, row.epoch, row.seq]);
      for (const row of fresh) rows.put({ attempt: this.#attempt, ...row });
    }, "strict", () => { this.#writing = this.#writing.filter((each) => each !== change); });
  }

  /** The page may be gone before the disk is done: keep what is on its way where writing is immediate. */
  lastWords() {
    if (!this.#writing.length) return;
    this.#spoken = true;
    try { localStorage.setItem(this.#last, JSON.stringify(this.#writing)); } catch { /* then only the network is left */ }
  }

  #heardLast() {
    this.#spoken = false;
    try {
      const words = JSON.parse(localStorage.getItem(this.#last) ?? "[]");
      localStorage.removeItem(this.#last);
      return words;
    } catch {
      return [];
    }
  }

  /** The server has acknowledged everything of `epoch` up to `seq`. */
  mark(epoch, seq) {
    return this.note(`mark:${epoch}`, seq);
  }

  /** Keep a small value (where the candidate is, what was read) under a name. */
  note(name, value) {
    return this.#write("notes", (notes) => notes.put({ attempt: this.#attempt, name, value }));
  }

  /** Everything has arrived: leave nothing of this attempt on the device. */
  erase() {
    const mine = IDBKeyRange.bound([this.#attempt], [this.#attempt, []]);
    this.#heardLast();
    return Promise.all([this.#write("rows", (rows) => rows.delete(mine)), this.#write("notes", (notes) => notes.delete(mine))]);
  }

  async #write(store, change, durability = "relaxed", done = () => {}) {
    if (!this.#database) {
      done();
      return;
    }
    let timer = 0;
    const late = new Promise((passed) => { timer = setTimeout(passed, PATIENCE); });
    const written = this.#run([store], "readwrite", (transaction) => {
      change(transaction.objectStore(store));
      return [];
    }, durability).catch(() => this.#refused()).then(done);
    await Promise.race([written, late]);
    clearTimeout(timer);
  }

  #run(stores, mode, work, durability = "default") {
    return new Promise((done, failed) => {
      const transaction = this.#database.transaction(stores, mode, { durability });
      const requests = work(transaction);
      transaction.oncomplete = () => done(requests.map((request) => request.result));
      transaction.onerror = () => failed(transaction.error);
      transaction.onabort = () => failed(transaction.error);
    });
  }

  #refused() {
    if (!this.#database) return;
    this.#database = null;
    this.#changed();
  }
}

/** The journal of one attempt; `attempt` names candidate and sitting, `changed` hears when storage is lost. */
export async function openJournal(attempt, changed = () => {}) {
  let database = null;
  try {
    database = await openDatabase(globalThis.indexedDB);
  } catch {
    database = null;
  }
  return new Journal(database, attempt, changed);
}
