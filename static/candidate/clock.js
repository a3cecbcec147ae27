// The server's time. The device's own wall clock decides nothing; it may only make us ask again.

const DOUBT = 3000; // ms; wall clock and monotonic clock apart by more: the device slept or its clock was set

export class Clock {
  #base = null;
  #at = 0;
  #apart = 0;

  constructor(monotonic = () => performance.now(), wall = () => Date.now()) {
    this.monotonic = monotonic;
    this.wall = wall;
  }

  /** Take the `now` of the latest response. */
  learn(now) {
    this.#base = now;
    this.#at = this.monotonic();
    this.#apart = this.wall() - this.#at;
  }

  /** The server's time in ms, or null before the first response. */
  now() {
    return this.#base === null ? null : this.#base + (this.monotonic() - this.#at);
  }

  /** How long ago the server last told us the time, in ms. */
  age() {
    return this.#base === null ? Infinity : this.monotonic() - this.#at;
  }

  /** Whether the device slept or its clock was moved since then, so that the server should be asked again. */
  doubtful() {
    return this.#base !== null && Math.abs(this.wall() - this.monotonic() - this.#apart) > DOUBT;
  }

  /** Run now and at each full second of the server's time; answers a function that ends it. */
  everySecond(run) {
    let timer = 0;
    const beat = () => {
      timer = setTimeout(beat, 1000 - (Math.floor(this.now() ?? 0) % 1000));
      run();
    };
    beat();
    return () => clearTimeout(timer);
  }
}
