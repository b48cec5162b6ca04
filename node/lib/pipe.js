'use strict';

const { setImmediate } = require('node:timers/promises');

/**
 * Sends what a source gives as fast as the client takes it, until either ends. A source that fails does not end the
 * process if nobody waits for this: the SSE is told.
 */
function pipe(source, client, options) {
  const piped = sendFrom(source, client, options);
  if (client._sse) piped.catch((error) => client._sse._tell(error));
  return piped;
}

async function sendFrom(source, client, { end = false } = {}) {
  const items = (source[Symbol.asyncIterator] ?? source[Symbol.iterator]).call(source);
  try {
    if (!(await sendAll(items, client))) await letGo(source, items);
  } catch (error) {
    await letGo(source, items);
    throw error;
  }
  if (end) client.close();
}

/** Tells whether that was all; if not, the client has ended. */
async function sendAll(items, client) {
  const decoder = new TextDecoder();
  const next = until(client);
  while (client._end === undefined) {
    const item = await next(items.next());
    if (client._end !== undefined) break;
    const { done, value } = item;
    if (done) sendText(client, decoder.decode());
    else if (value instanceof Uint8Array) sendText(client, decoder.decode(value, { stream: true }));
    else client.send(value);
    if (done) return true;
    await client._whenReady();
  }
  return false;
}

/** Of bytes that end within a character there may be none yet. */
function sendText(client, text) {
  if (text !== '') client.send(text);
}

/**
 * Waits for a promise or the end of a client. It listens to that once: a race would leave something behind with
 * each item.
 */
function until(client) {
  let wake;
  client.closed.then(() => wake?.());
  return (promise) =>
    new Promise((resolve, reject) => {
      wake = resolve;
      Promise.resolve(promise).then(resolve, reject);
    });
}

/** What waits for something answers only when that has come, so it is not waited for; a stream is told directly. */
async function letGo(source, items) {
  source.destroy?.();
  const done = Promise.resolve(items.return?.()).catch(() => {});
  await Promise.race([done, setImmediate()]);
}

module.exports = { pipe };
