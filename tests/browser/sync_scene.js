// One scene for the sync engine, line by line: the server's answers are written down beforehand, time moves by hand.

import { Sync } from "/static/0/candidate/sync.js";

export const row = (epoch, seq, item, response) => ({ epoch, seq, item, response, flag: false, at: 0 });

/** An attempt as the sitting shows it. */
export const attempt = (epoch, watermark, answers = []) => ({ epoch, watermark, answers });

/** Begin a scene; `replies` are given in turn: a body (200), [status, body, retryAfter], "cut", or a function of the request. */
export function scene({ attempt: begun, rows = [], marks = {}, replies = [], slowJournal = false }) {
  let now = 0;
  let timers = [];
  const sent = []; // [path, body]
  const told = [];
  const written = []; // ["append", row] and ["replace", old, fresh]
  let release = () => {};
  const disk = () => (slowJournal ? new Promise((done) => { release = done; }) : Promise.resolve());
  const sync = new Sync({
    journal: {
      durable: true,
      append: (each) => { written.push(["append", { ...each }]); return disk(); },
      replace: (old, fresh) => { written.push(["replace", old, fresh]); return disk(); },
      mark: () => Promise.resolve(),
    },
    send: async (method, path, body) => {
      sent.push([path, structuredClone(body)]);
      let reply = replies.shift();
      if (typeof reply === "function") reply = reply(body);
      if (reply === undefined) reply = { now, watermark: body.answers.at(-1).seq, deadline: 1, notices: 0 };
      if (reply === "cut") throw new Error("cut");
      const [status, answer, retryAfter = null] = Array.isArray(reply) ? reply : [200, reply];
      return { status, body: answer, retryAfter };
    },
    later: (run, ms) => {
      const timer = { at: now + ms, run };
      timers.push(timer);
      return () => { timers = timers.filter((each) => each !== timer); };
    },
    random: () => 0.5,
    monotonic: () => now,
    tell: (kind, detail) => { if (kind === "halted" || kind === "ended") told.push(detail?.why ?? kind); },
  });
  sync.open(begun, rows, marks, 0);
  const settle = async () => { for (let i = 0; i < 500; i += 1) await Promise.resolve(); };
  return {
    sync, sent, told, written, replies,
    diskDone: async () => { release(); await settle(); },
    answers: () => sent.filter(([path]) => path === "/api/answers").map(([, body]) => [body.epoch, body.answers.map((each) => [each.seq, each.item, each.response])]),
    /** Let `ms` pass. */
    async pass(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        timers.sort((a, b) => a.at - b.at);
        if (!timers.length || timers[0].at > end) break;
        const timer = timers.shift();
        now = timer.at;
        timer.run();
        await settle();
      }
      now = end;
    },
  };
}
