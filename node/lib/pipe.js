'use strict';

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
    if (!isExhausted) letGo(items);
  }
  if (end) client.close();
}

/** An async generator answers only when what it waits for has come, so this is not waited for. */
function letGo(items) {
  Promise.resolve(items.return?.()).catch(() => {});
}

module.exports = { pipe };
