'use strict';

const { setImmediate } = require('node:timers/promises');

/** Sends what a source gives as fast as the client takes it, until either ends. */
async function pipe(source, client, { end = false } = {}) {
  const items = (source[Symbol.asyncIterator] ?? source[Symbol.iterator]).call(source);
  const over = client.closed.then(() => ({ done: true }));
  const decoder = new TextDecoder();
  let isExhausted = false;
  try {
    for (;;) {
      const next = Promise.resolve(items.next());
      const { done, value } = await Promise.race([next, over]);
      if (client._end !== undefined) {
        // It may fail when nobody waits for it any more.
        next.catch(() => {});
        break;
      }
      isExhausted = done;
      if (done) break;
      client.send(value instanceof Uint8Array ? decoder.decode(value, { stream: true }) : value);
      await client._whenReady();
    }
  } catch (error) {
    isExhausted = true;
    throw error;
  } finally {
    if (!isExhausted) await letGo(source, items);
  }
  if (end) client.close();
}

/** What waits for something answers only when that has come, so it is not waited for; a stream is told directly. */
async function letGo(source, items) {
  source.destroy?.();
  const done = Promise.resolve(items.return?.()).catch(() => {});
  await Promise.race([done, setImmediate()]);
}

module.exports = { pipe };
