// Plays one exam morning through the sync engine: a clock of its own, a bad line, reloads, a second device.
// The hall itself is the one of fake_hall.py, asked through `hall(token, method, path, body, now)`.

import { Sync } from "/static/0/candidate/sync.js";

function chance(seed) {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Virtual time: appointments run in order, and time stands still while the hall is thinking. */
class Time {
  now = 1_790_000_000_000;
  #list = [];
  thinking = 0;

  later = (run, ms) => {
    const entry = { at: this.now + Math.max(0, ms), run };
    this.#list.push(entry);
    return () => { this.#list = this.#list.filter((other) => other !== entry); };
  };

  sleep = (ms) => new Promise((done) => { this.later(done, ms); });

  async until(end, quiet = () => false) {
    const { port1, port2 } = new MessageChannel();
    const turn = () => new Promise((done) => { port1.onmessage = done; port2.postMessage(0); });
    for (;;) {
      do await turn(); while (this.thinking);
      if (quiet()) return;
      const next = this.#list.reduce((first, entry) => (first && first.at <= entry.at ? first : entry), null);
      if (!next || next.at > end) break;
      this.#list = this.#list.filter((entry) => entry !== next);
      this.now = next.at;
      next.run();
    }
    this.now = Math.max(this.now, end);
  }
}

/** A device's storage: survives a reload, apart from writes that were still on their way. */
class Storage {
  rows = new Map();
  marks = {};

  constructor(time, random, durable) {
    Object.assign(this, { time, random, durable, generation: 0, writing: new Set(), last: null });
  }

  async #write(change) {
    const { generation, last } = this;
    const done = new Promise((resolve) => { this.time.later(resolve, this.random() * 40); });
    this.last = Promise.all([last, done]); // one after the other, as IndexedDB does it
    await this.last;
    if (this.durable && generation === this.generation) change();
  }

  append(row) {
    const copy = { ...row };
    this.writing.add(copy.response);
    return this.#write(() => {
      this.rows.set(`${row.epoch}:${row.seq}`, copy);
      this.writing.delete(copy.response);
    });
  }

  replace(old, fresh) {
    const copies = fresh.map((row) => ({ ...row }));
    return this.#write(() => {
      for (const row of old) this.rows.delete(`${row.epoch}:${row.seq}`);
      for (const row of copies) this.rows.set(`${row.epoch}:${row.seq}`, row);
    });
  }

  mark(epoch, seq) { return this.#write(() => { this.marks[epoch] = seq; }); }

  /** Power off: what was being written is gone. */
  cut() {
    this.generation += 1;
    return this.writing;
  }

  load() {
    return [[...this.rows.values()].map((row) => ({ ...row })), { ...this.marks }];
  }
}

/** One run; answers {changes, safe claims that were false, changes that are nowhere, …}. Faults come from the seed. */
export async function run(seed, options = {}) {
  const random = chance(seed);
  const time = new Time();
  const storage = new Storage(time, random, options.durable ?? true);
  const { token, other, items } = await window.newHall(time.now);
  const broken = []; // sentences: what the engine promised and did not keep
  const made = []; // every change the candidate made: {item, response}
  const lost = new Set(); // responses that neither the storage nor the server had when the page went away
  let faults = true;
  const opened = time.now;
  const darkUntil = options.dark ? opened + random() * 120_000 : 0; // so long the server is away; the exam was begun by code
  let cutUntil = darkUntil;
  let sync = null;
  let page = 0;
  let reloads = 0;
  let takeovers = 0;
  let stale = false;

  async function hall(who, method, path, body) {
    time.thinking += 1;
    try {
      return JSON.parse(await window.hall(who, method, path, JSON.stringify(body ?? null), time.now));
    } finally {
      time.thinking -= 1;
    }
  }

  const tickets = new Map(); // of requests that the server had no room for: when they first came, and what they said

  async function send(method, path, body, { keepalive = false, ticket = "" } = {}) {
    const sent = structuredClone(body);
    await time.sleep(20 + random() * (keepalive && faults ? 3000 : 300)); // nobody waits for a closing page's last word
    const luck = faults ? random() : 1;
    if (faults && time.now < cutUntil) {
      await time.sleep(random() * 4000);
      throw new Error("cut");
    }
    if (luck < 0.06) throw new Error("lost on the way");
    if (luck < 0.1) return { status: 503, body: luck < 0.08 ? null : { error: "unavailable" }, retryAfter: luck < 0.09 ? 2000 : null };
    if (luck < 0.12) return { status: 200, body: null, retryAfter: null }; // somebody's log-in page
    const put = tickets.get(ticket);
    if (ticket && put?.text !== JSON.stringify([method, path, sent])) broken.push(`a ticket for another request: ${put?.text}`);
    if (faults && luck > 0.95 && path === "/api/answers") {
      const name = ticket || `ticket ${tickets.size}`;
      tickets.set(name, put ?? { at: time.now, text: JSON.stringify([method, path, sent]) });
      return { status: 503, body: { error: "overloaded", ticket: name }, retryAfter: random() * 3000 };
    }
    const [status, reply] = await hall(token, method, path, sent);
    if (luck < 0.18) throw new Error("answer lost");
    if (luck < 0.22 && path !== "/api/takeover") { // the network repeats it later
      time.later(() => { hall(token, method, path, sent); }, random() * 5000);
    }
    await time.sleep(20 + random() * 300);
    return { status, body: reply, retryAfter: null };
  }

  async function check() {
    const { counted } = await hall(token, "LOOK", "", null);
    for (const [item, { epoch, seq, response, standing }] of sync?.items ?? []) {
      if (standing !== "safe" || counted.includes(JSON.stringify([epoch, seq, item, response]))) continue;
      broken.push(`called safe and not held: item ${item} ${JSON.stringify([epoch, seq, item, response])}`);
    }
  }

  async function load() {
    if (sync) {
      sync.flush();
      sync.stop();
      reloads += 1;
      const gone = storage.durable ? storage.cut() : new Set(made.map((row) => row.response));
      const { everything } = await hall(token, "LOOK", "", null);
      for (const response of gone) if (!everything.includes(JSON.stringify(response))) lost.add(response);
    }
    page += 1;
    const mine = page;
    sync = null;
    const open = (attempt, now, ended) => {
      const [rows, marks] = storage.load();
      stale = false;
      sync = new Sync({
        send, journal: storage, later: time.later, random, monotonic: () => time.now, startBody: attempt.epoch === 0 ? { by: "code" } : {},
        tell: (kind, detail) => { if (kind === "halted" && detail.why === "stale_device") stale = true; },
      });
      sync.open(attempt, rows, marks, now, ended);
    };
    const dark = { epoch: 0, watermark: 0, answers: [] };
    if (time.now < darkUntil) { // the journal leads back into the exam
      open(dark, time.now, false);
      return;
    }
    for (;;) {
      let reply = null;
      try { reply = await send("GET", "/api/sitting"); } catch { reply = null; }
      if (mine !== page) return;
      if (reply?.status === 200 && reply.body) {
        const { attempt, now, state } = reply.body;
        if (state === "prepared") { // begun by code, and not heard of yet
          open(dark, now, false);
          return;
        }
        if (attempt.epoch === null && state === "started") { // the candidate confirms
          try { await send("POST", "/api/takeover", {}); } catch { /* read again */ }
          continue;
        }
        open(attempt, now, state !== "started");
        return;
      }
      await time.sleep(500);
    }
  }

  if (!options.dark) {
    const start = await hall(token, "POST", "/api/start", {});
    if (start[0] !== 200) throw new Error("no start");
  }
  const loading = load();
  await time.until(time.now + 20_000);
  await loading;

  const steps = 16 + Math.floor(random() * 16);
  for (let step = 0; step < steps; step += 1) {
    const luck = random();
    if (luck < 0.06) {
      load();
    } else if (luck < 0.1) {
      cutUntil = Math.max(darkUntil, time.now + random() * 30_000);
    } else if (luck < 0.115 && options.second && takeovers < 2) {
      takeovers += 1;
      const [status] = await hall(other, "POST", "/api/takeover", {});
      if (status === 409) await hall(other, "POST", "/api/start", {}); // nobody has started yet: the other device is the first
      const at = time.now;
      await hall(other, "OTHER", "", { item: items[0], response: `other ${at}` });
    } else if (luck < 0.13) {
      sync?.flush();
    } else if (sync && !stale) {
      for (let n = 1 + Math.floor(random() * 3); n > 0; n -= 1) {
        const item = items[Math.floor(random() * items.length)];
        const response = random() < 0.02 ? `bad ${made.length}`.padEnd(60, "-") : `${seed} ${made.length}`;
        if (sync.change(item, response, random() < 0.2, time.now)) made.push({ item, response });
      }
      if (random() < 0.08) { // closed in the same moment, with half of it on the disk
        await time.until(time.now + random() * 60);
        load();
      }
    } else if (stale && random() < 0.5) {
      sync?.takeover();
      stale = false;
    }
    await time.until(time.now + random() * random() * 8000);
    if (step % 5 === 0) await check();
  }

  faults = false;
  cutUntil = 0;
  await time.until(time.now + 120_000, () => sync && sync.unsent === 0);
  await check();
  const summary = sync.summary();
  if (sync.unsent) broken.push(`still ${sync.unsent} unsent after two good minutes: ${JSON.stringify(summary)}`);

  const { everything, standing, started_at: startedAt } = await hall(token, "LOOK", "", null);
  const good = made.filter((row) => !row.response.startsWith("bad"));
  for (const { item, response } of good) {
    if (!everything.includes(JSON.stringify(response)) && !lost.has(response)) broken.push(`nowhere: ${item} ${response}`);
  }
  const others = takeovers > 0 && startedAt > opened; // then its time is that of the other device
  if (options.dark && startedAt !== opened && !others) broken.push(`time runs from ${startedAt - opened} ms after the opening`);
  for (const [item, state] of sync.items) {
    if (state.standing === "waiting") broken.push(`still waiting: item ${item}`);
    if (options.second) continue;
    if (state.standing === "kept") broken.push(`kept without a reason: item ${item}`);
    const typed = good.filter((row) => row.item === item).map((row) => row.response);
    const last = typed.findLastIndex((response) => !lost.has(response)); // what was lost may still have arrived
    if (state.standing === "safe" && !typed.slice(Math.max(last, 0)).includes(standing[item])) {
      broken.push(`not the last: item ${item} typed ${typed.slice(last)} held ${standing[item]}`);
    }
  }
  sync.stop();
  return { seed, made: made.length, put_off: tickets.size, reloads, takeovers, epoch: sync.epoch, kept: summary.kept, broken };
}
