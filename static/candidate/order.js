// The order of options: section 5 of docs/candidate-protocol.md, in 32-bit unsigned arithmetic.

/** A generator of 32-bit numbers (mulberry32) from a 32-bit state. */
function mulberry32(state) {
  let s = state >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

const draws = (seed, no) => mulberry32(seed ^ Math.imul(no, 0x9e3779b1));

/** The options of item `no` as this attempt shows them; pinned ones keep their index. */
export function inOrder(options, seed, no, next = draws(seed, no)) {
  const loose = options.filter((option) => !option.pinned);
  for (let i = loose.length - 1; i > 0; i -= 1) {
    const j = next() % (i + 1);
    [loose[i], loose[j]] = [loose[j], loose[i]];
  }
  return options.map((option) => (option.pinned ? option : loose.shift()));
}

/** The options of each gap of item `no` as this attempt shows them: one run of numbers for all the gaps. */
export function gapsInOrder(gaps, seed, no) {
  const next = draws(seed, no);
  return gaps.map((gap) => inOrder(gap.options, seed, no, next));
}
