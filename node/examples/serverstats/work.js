// A few seconds of work on demand, so that the charts have something to show.

'use strict';

const { Worker, isMainThread } = require('node:worker_threads');

const STEP_MS = 100;
/** Steps up to full load; as many lead down again. */
const TOP = 30;
const BLOCK_BYTES = 1024 * 1024;

let isBusy = false;

/** Begins the work, unless it is going on already: one piece at a time is enough for anybody. */
function beginWork() {
  if (isBusy) return false;
  isBusy = true;
  // In a thread of its own, which does not hold up the streams.
  new Worker(__filename).on('exit', () => (isBusy = false)).unref();
  return true;
}

/** Takes more and more memory and time of one core, then less and less. */
function work(step = 0, blocks = []) {
  if (step > 2 * TOP) return;
  const load = step < TOP ? step : 2 * TOP - step;
  blocks.length = Math.min(blocks.length, load);
  while (blocks.length < load) blocks.push(Buffer.alloc(BLOCK_BYTES, 1));
  spin((STEP_MS * load) / TOP);
  setTimeout(work, STEP_MS - (STEP_MS * load) / TOP, step + 1, blocks);
}

function spin(ms) {
  const begun = performance.now();
  while (performance.now() - begun < ms);
}

if (isMainThread) module.exports = { beginWork };
else work();
