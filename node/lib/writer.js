'use strict';

const { deferred } = require('./deferred');

/** The number of a client that Node writes. */
const NONE = -1;

/** What the addon tells of a client: `Word` in slot.rs. */
const READY = 0;
const LAGGED = 1;
const GONE = 2;
const LEFT = 3;

/** How many characters a client is given before it is asked whether they are written. */
const HIGH_WATER_MARK = 64 * 1024;

const Writer = load();

/** Of this thread; started for the first client. */
let writer;
const clients = [];
const free = [];

/** What one text is for, until the next tick or text: a loop over clients is one call. */
const batch = { text: '', numbers: new Uint32Array(1024), count: 0, isScheduled: false };

function load() {
  if (process.env.SSE_FALLBACK) return undefined;
  try {
    return require('./sse.node').Writer;
  } catch {
    // Without it, Node writes.
    return undefined;
  }
}

/** Gives a client's descriptor to the writer, and tells whether that could be. */
function enter(client, descriptor, isChunked, isDuplicated) {
  const { maxBytes, maxAge } = client._settings;
  const number = free.pop() ?? clients.push(undefined) - 1;
  try {
    writer ??= new Writer(hear);
    writer.add(number, descriptor, isChunked, isDuplicated, maxBytes, maxAge);
  } catch {
    // There are no more threads or descriptors, or the writer has ended.
    free.push(number);
    return false;
  }
  clients[number] = client;
  client._slot = number;
  return true;
}

function hear(number, word) {
  const client = clients[number];
  if (word === LEFT) free.push(number);
  else if (client === undefined) return;
  else if (word === READY) ready(client);
  else if (word === LAGGED) client._cut('lagged');
  else if (word === GONE) client._cut('gone');
}

function write(client, text) {
  if (text !== batch.text) begin(text);
  if (batch.count === batch.numbers.length) grow();
  batch.numbers[batch.count++] = client._slot;
  client._outstanding += text.length;
}

function begin(text) {
  flush();
  batch.text = text;
  if (batch.isScheduled) return;
  batch.isScheduled = true;
  process.nextTick(() => {
    batch.isScheduled = false;
    flush();
  });
}

function grow() {
  const { numbers } = batch;
  batch.numbers = new Uint32Array(numbers.length * 2);
  batch.numbers.set(numbers);
}

function flush() {
  const { text, numbers, count } = batch;
  batch.text = '';
  batch.count = 0;
  if (count > 0) writer.write(text, numbers.subarray(0, count));
}

function writeBytes(client, bytes) {
  if (bytes.length === 0) return;
  flush();
  client._outstanding += bytes.length;
  writer.writeBytes(bytes, client._slot);
}

/** Fulfilled when the client takes more; `undefined` if it does at once. */
function whenReady(client) {
  return client._outstanding < HIGH_WATER_MARK ? undefined : whenWritten(client);
}

/** Fulfilled when everything is written, or the client has left. */
function whenWritten(client) {
  if (client._drain) return client._drain.promise;
  client._drain = deferred();
  flush();
  writer.ask(client._slot);
  return client._drain.promise;
}

function ready(client) {
  client._outstanding = 0;
  client._drain?.fulfil();
  client._drain = undefined;
}

/**
 * Takes the descriptor back. What is not written yet is given: the newest texts, which have not been handed
 * over, and bytes before them, which are `null` if a part is lost.
 */
function giveBack(client) {
  const texts = takeNewest(client);
  flush();
  const bytes = writer.giveBack(client._slot);
  leave(client);
  return { bytes, texts };
}

/** The last of a batch, so that a client which is sent a last word need not be waited for. */
function takeNewest(client) {
  const texts = [];
  while (batch.count > 0 && batch.numbers[batch.count - 1] === client._slot) {
    batch.count--;
    texts.push(batch.text);
  }
  return texts;
}

/** Lets go of the descriptor, which takes before what it takes at once of what was handed over. */
function leave(client) {
  const number = client._slot;
  if (number === NONE) return;
  client._slot = NONE;
  clients[number] = undefined;
  writer.remove(number);
  ready(client);
}

module.exports = { NONE, isLoaded: Writer !== undefined, enter, giveBack, leave, whenReady, whenWritten, write, writeBytes };
