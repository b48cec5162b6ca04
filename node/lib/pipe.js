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
    if (!isExhausted) await letGo(items);
  }
  if (end) client.close();
}

/** An async generator that waits for something answers only when that has come: this does not wait for it. */
async function letGo(items) {
  const done = Promise.resolve(items.return?.()).catch(() => {});
  await Promise.race([done, setImmediate()]);
}

module.exports = { pipe };
