// The device's own journal of answers, in IndexedDB. It is written before the network and kept until the receipt, every
// row sealed under a key that comes with the sitting and is forgotten here when the candidate leaves. What was not sent
// by then is handed over by whoever comes next (handover.js) and can be read by nobody here. Where the browser refuses
// storage or cannot seal everything works on, `durable` is false, and the page says so.

const PATIENCE = 1500; // ms; a slow disk must not hold up the sending
const SITTING = "exam-sitting"; // in localStorage: the name of the journal of the exam that is being sat here
const PAD = 128 * 1024; // bytes that can be sealed at once when the page goes

const utf8 = new TextEncoder();
const fromHex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Bytes as base64, as they travel and as they are kept. */
export function base64(bytes) {
  let text = "";
  for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
  return btoa(text);
}

/** And back. */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));

/** The database of all journals on this device; rejects where there can be none. */
export function openDatabase(factory = globalThis.indexedDB) {
  return new Promise((done, failed) => {
    setTimeout(() => failed(new Error("no answer")), 2 * PATIENCE); // some browsers never say yes or no
    const request = factory.open("exam-journal", 2);
    request.onupgradeneeded = () => {
      for (const store of [...request.result.objectStoreNames]) request.result.deleteObjectStore(store);
      request.result.createObjectStore("rows", { keyPath: ["journal", "epoch", "seq"] });
      request.result.createObjectStore("notes", { keyPath: ["journal", "name"] });
      request.result.createObjectStore("keys", { keyPath: "journal" });
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
    request.onblocked = () => failed(new Error("blocked"));
  });
}

/** What belongs to one journal, as a range of keys. */
export const allOf = (journal) => IDBKeyRange.bound([journal], [journal, []]);

/** Run `work(transaction)`, which answers requests; their results, once it has been written. */
export function run(database, stores, mode, work, durability = "default") {
  return new Promise((done, failed) => {
    const transaction = database.transaction(stores, mode, { durability });
    const requests = work(transaction);
    transaction.oncomplete = () => done(requests.map((request) => request.result));
    transaction.onerror = () => failed(transaction.error);
    transaction.onabort = () => failed(transaction.error);
  });
}

export class Journal {
  #database;
  #name;
  #key;
  #changed;
  #writing = []; // changes on their way to the disk, in order: {old, fresh, sealed}
  #sealing = Promise.resolve(); // seals one after the other, so that what is written keeps its order
  #links = new Map(); // epoch → {seq, hash} of the row that was sealed last
  #last; // the name under which last words are kept
  #spoken = false;
  #pad = null; // {iv, stream, at}: noise under our key, so that last words can be sealed without waiting

  constructor(database, name, key, changed) {
    this.#database = database;
    this.#name = name;
    this.#key = key;
    this.#changed = changed;
    this.#last = `exam-last|${name}`;
    if (database) {
      database.onversionchange = () => {
        database.close();
        this.#refused();
      };
      database.onclose = () => this.#refused();
    }
  }

  /** Make ready to speak last words at any moment. */
  async prepare() {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    this.#pad = { iv, stream: await this.#noise(iv), at: 0 };
    return this;
  }

  /** Whether rows can be sealed here, kept or not. */
  get seals() { return this.#key !== null; }

  /** Rows as `rows` of the database has them, for a file. */
  sealed(rows) {
    return Promise.all(rows.map(async (row) => ({ epoch: row.epoch, seq: row.seq, ...await this.#seal(`${row.epoch}:${row.seq}`, row) })));
  }

  get name() { return this.#name; }

  /** Whether what is written here outlives a reload. */
  get durable() { return this.#database !== null; }

  /** Everything that this device knows of the attempt: {rows, marks: {epoch: acknowledged seq}, notes, damaged: count}. */
  async load() {
    const found = { rows: [], marks: {}, notes: {}, damaged: 0 };
    if (!this.#database) return found;
    let kept = [];
    try {
      const [rows, notes] = await run(this.#database, ["rows", "notes"], "readonly", (transaction) => (
        ["rows", "notes"].map((store) => transaction.objectStore(store).getAll(allOf(this.#name)))));
      kept = rows;
      for (const note of notes) {
        if (note.name.startsWith("mark:")) found.marks[note.name.slice(5)] = note.value;
        else if (note.sealed) found.notes[note.name] = await this.#unseal(note.name, note).catch(() => undefined);
      }
    } catch {
      this.#refused();
    }
    const words = await this.#heardLast();
    const gone = words.flatMap(({ old, fresh }) => [...old, ...fresh]);
    await this.#read(kept.filter((row) => !gone.some(({ epoch, seq }) => row.epoch === epoch && row.seq === seq)), found);
    for (const { old, fresh } of words) {
      found.rows = found.rows.filter((row) => !old.some(({ epoch, seq }) => row.epoch === epoch && row.seq === seq));
      found.rows.push(...fresh);
      this.replace(old, fresh);
    }
    return found;
  }

  /** Open what was kept, and see that nothing between was exchanged or is missing. */
  async #read(kept, found) {
    let before = null;
    for (const each of kept.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq)) {
      const { epoch, seq } = each;
      try {
        const { prev, ...row } = await this.#unseal(`${epoch}:${seq}`, each);
        const next = before?.epoch === epoch && before.seq === seq - 1 && !before.void;
        if (next && prev && prev !== before.hash) found.damaged += 1;
        before = { epoch, seq, void: row.void, hash: await this.#hash(each.sealed) };
        this.#links.set(epoch, before);
        found.rows.push({ ...row, epoch, seq });
      } catch {
        found.damaged += 1;
        before = null;
      }
    }
  }

  /** Write one row; resolves when it is on the device, or when that has failed or lasts too long. Never rejects. */
  append(row) {
    return this.replace([], [row]);
  }

  /** Take `old` rows out and put `fresh` ones in, both or neither. */
  async replace(old, fresh) {
    if (!this.#database) return;
    if (this.#spoken) this.#forgetLast(); // the page lived on: those words are not the last
    const change = { old: old.map(({ epoch, seq }) => ({ epoch, seq })), fresh: fresh.map((row) => ({ ...row })), sealed: null };
    this.#writing.push(change);
    const sealing = this.#sealing.then(async () => {
      change.sealed = [];
      for (const row of change.fresh) change.sealed.push(await this.#sealRow(row));
    });
    this.#sealing = sealing.catch(() => null);
    await sealing.then(() => this.#store(change.old, change.sealed), () => this.#refused());
    this.#writing = this.#writing.filter((each) => each !== change);
  }

  #store(old, sealed) {
    return this.#write("rows", (rows) => {
      for (const { epoch, seq } of old) rows.delete([this.#name, epoch, seq]);
      for (const row of sealed) rows.put({ journal: this.#name, ...row });
    }, "strict");
  }

  /** The page may be gone before the disk is done: keep what is on its way where writing is immediate. */
  lastWords() {
    const words = utf8.encode(JSON.stringify(this.#writing.map(({ old, fresh }) => ({ old, fresh }))));
    if (!this.#writing.length || !this.#pad || this.#pad.at + words.length > PAD) return;
    this.#spoken = true;
    const { iv, stream, at } = this.#pad;
    this.#pad.at += words.length; // no noise serves twice
    const sealed = words.map((byte, i) => byte ^ stream[at + i]);
    try {
      localStorage.setItem(this.#last, JSON.stringify({ iv: base64(iv), at, sealed: base64(sealed) }));
    } catch { /* then only the network is left */ }
  }

  #forgetLast() {
    this.#spoken = false;
    try { localStorage.removeItem(this.#last); } catch { /* then nothing was said either */ }
  }

  async #heardLast() {
    try {
      const { iv, at, sealed } = JSON.parse(localStorage.getItem(this.#last));
      this.#forgetLast();
      const stream = await this.#noise(fromBase64(iv));
      return JSON.parse(new TextDecoder().decode(fromBase64(sealed).map((byte, i) => byte ^ stream[at + i])));
    } catch {
      return [];
    }
  }

  /** What AES-GCM makes of nothing but noughts. */
  async #noise(iv) {
    return new Uint8Array(await crypto.subtle.encrypt(this.#how(iv, "last"), this.#key, new Uint8Array(PAD)));
  }

  /** The server has acknowledged everything of `epoch` up to `seq`. Not sealed: whoever hands over has to know. */
  mark(epoch, seq) {
    return this.#write("notes", (notes) => notes.put({ journal: this.#name, name: `mark:${epoch}`, value: seq }));
  }

  /** Keep a small value (where the candidate is, what was read) under a name. */
  async note(name, value) {
    if (!this.#database) return;
    const sealed = await this.#seal(name, value).catch(() => null);
    if (sealed) await this.#write("notes", (notes) => notes.put({ journal: this.#name, name, ...sealed }));
  }

  /** Everything has arrived: leave nothing of this attempt on the device. */
  async erase() {
    await this.#sealing;
    this.#forgetLast();
    forgetSitting();
    if (this.#database) await erase(this.#database, this.#name).catch(() => null);
  }

  async #sealRow(row) {
    const { epoch, seq } = row;
    const link = this.#links.get(epoch);
    const prev = link?.seq === seq - 1 ? link.hash : "";
    const { iv, sealed } = await this.#seal(`${epoch}:${seq}`, { ...row, prev });
    this.#links.set(epoch, { epoch, seq, hash: await this.#hash(sealed) });
    return { epoch, seq, iv, sealed };
  }

  async #hash(bytes) { return hex(await crypto.subtle.digest("SHA-256", bytes)).slice(0, 16); }

  #how(iv, name) { return { name: "AES-GCM", iv, additionalData: utf8.encode(`${this.#name}:${name}`) }; }

  async #seal(name, value) {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    return { iv, sealed: await crypto.subtle.encrypt(this.#how(iv, name), this.#key, utf8.encode(JSON.stringify(value))) };
  }

  async #unseal(name, { iv, sealed }) {
    return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(this.#how(iv, name), this.#key, sealed)));
  }

  async #write(store, change, durability = "relaxed") {
    if (!this.#database) return;
    let timer = 0;
    const late = new Promise((passed) => { timer = setTimeout(passed, PATIENCE); });
    const written = run(this.#database, [store], "readwrite", (transaction) => {
      change(transaction.objectStore(store));
      return [];
    }, durability).catch(() => this.#refused());
    await Promise.race([written, late]);
    clearTimeout(timer);
  }

  #refused() {
    if (!this.#database) return;
    this.#database = null;
    this.#changed();
  }
}

/** The journal of the exam that this device was sitting, for a page that cannot reach the server; null if there is none. */
export async function openKept(changed = () => {}) {
  try {
    const name = localStorage.getItem(SITTING);
    const database = name ? await openDatabase() : null;
    const [kept] = database ? await run(database, ["keys"], "readonly", (transaction) => [transaction.objectStore("keys").get(name)]) : [];
    if (!kept) return null;
    hold(name);
    return await new Journal(database, name, kept.key, changed).prepare();
  } catch {
    return null;
  }
}

/** While the page lives nobody else hands this journal over. */
function hold(name) {
  navigator.locks?.request(`journal ${name}`, () => new Promise(() => {}));
}

function forgetSitting() {
  try { localStorage.removeItem(SITTING); } catch { /* then it was never noted either */ }
}

/** Take everything of a journal from the device. */
export function erase(database, name) {
  return run(database, ["rows", "notes", "keys"], "readwrite", (transaction) => {
    for (const store of ["rows", "notes"]) transaction.objectStore(store).delete(allOf(name));
    transaction.objectStore("keys").delete(name);
    return [];
  });
}

/** Whether this device has a journal besides `own`, to be handed over. */
export async function keepsOthers(own = "") {
  if (!navigator.locks || !globalThis.indexedDB) return false;
  const database = await openDatabase();
  try {
    const [keys] = await run(database, ["notes"], "readonly", (transaction) => [transaction.objectStore("notes").getAllKeys()]);
    return keys.some(([journal, name]) => name === "handover" && journal !== own);
  } finally {
    database.close();
  }
}

/** Forget the keys of all journals but one: what they hold can be handed over then, and read by nobody here. */
export async function forgetKeys(but = "") {
  if (!but) forgetSitting();
  const database = await openDatabase();
  await run(database, ["keys"], "readwrite", (transaction) => {
    const keys = transaction.objectStore("keys");
    const names = keys.getAllKeys();
    names.onsuccess = () => { for (const name of names.result) if (name !== but) keys.delete(name); };
    return [];
  }).finally(() => database.close());
}

/** The journal that the server calls {name, key, handover}; `changed` hears when storage is lost. */
export async function openJournal({ name, key, handover }, changed = () => {}) {
  let opener = null;
  try {
    opener = await crypto.subtle.importKey("raw", fromHex(key), "AES-GCM", false, ["encrypt", "decrypt"]);
    const database = await openDatabase();
    await run(database, ["keys", "notes"], "readwrite", (transaction) => {
      transaction.objectStore("keys").put({ journal: name, key: opener });
      transaction.objectStore("notes").put({ journal: name, name: "handover", value: handover });
      return [];
    });
    await forgetKeys(name);
    hold(name);
    localStorage.setItem(SITTING, name);
    return await new Journal(database, name, opener, changed).prepare();
  } catch {
    return new Journal(null, name, opener, changed);
  }
}
