// How long the event loop of a process is held up.

const TICK_MS = 1;
/** By then everything has been written, or is waiting for its reader. */
const WATCHED_MS = 300;

/** The longest that a timer of 1 ms was late from now on, in milliseconds. */
exports.watchLoop = () => {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - TICK_MS);
    last = now;
  }, TICK_MS);
  return new Promise((resolve) => {
    setTimeout(() => {
      clearInterval(timer);
      resolve(String(longest));
    }, WATCHED_MS);
  });
};
