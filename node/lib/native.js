'use strict';

const { ServerResponse } = require('node:http');
const { isMainThread } = require('node:worker_threads');

/** The number of a client that Node writes. */
const NONE = -1;

/** What the addon tells of a client: `Word` in slot.rs. */
const READY = 0;
const ENDED = 1;
const LAGGED = 2;
const LEFT = 3;

/** How many characters a client is given before it is asked whether they are written. */
const HIGH_WATER_MARK = 64 * 1024;

/** The client of a handle or a response whose methods are replaced. */
const CLIENT = Symbol('client');

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

/** Takes over the writing to a client whose head has been sent, if that can be. */
function adopt(client) {
  const { req, res, _settings: settings } = client;
  if (!Writer || !isPlain(req, res)) return;
  const { socket } = res;
  // The head goes out now, so that nothing of Node's is left to be written.
  while (socket.writableCorked) socket.uncork();
  const handle = socket._handle;
  if (socket.writableLength > 0 || handle.writeQueueSize > 0) return;
  const number = enter(handle.fd, res.chunkedEncoding, settings);
  if (number === NONE) return;
  clients[number] = client;
  client._slot = number;
  // Node sees no writes any more, and would take the stream for idle.
  socket.setTimeout(0);
  override(handle, client, handleMethods(handle));
  override(res, client, RESPONSE_METHODS);
}

/** Whether the response goes to a socket as it is, and nobody has put something in between. */
function isPlain(req, res) {
  const { socket } = res;
  const handle = socket?._handle;
  return (
    req.httpVersionMajor === 1 &&
    req.method !== 'HEAD' &&
    socket === req.socket &&
    !socket.encrypted &&
    !socket.destroyed &&
    (handle?.constructor.name === 'TCP' || handle?.constructor.name === 'Pipe') &&
    handle.fd >= 0 &&
    !Object.hasOwn(handle, 'close') &&
    res.write === ServerResponse.prototype.write &&
    res.end === ServerResponse.prototype.end
  );
}

/** A worker's handles are closed without a word when it is terminated, so there it has descriptors of its own. */
function enter(descriptor, isChunked, { maxBytes, maxAge }) {
  const number = free.pop() ?? clients.push(undefined) - 1;
  try {
    writer ??= new Writer(hear);
    writer.add(number, descriptor, isChunked, !isMainThread, maxBytes, maxAge);
    return number;
  } catch {
    // There are no more threads or descriptors.
    free.push(number);
    return NONE;
  }
}

function hear(number, word) {
  const client = clients[number];
  if (word === LEFT) free.push(number);
  else if (client === undefined) return;
  else if (word === READY) ready(client);
  else if (word === ENDED) giveBack(client);
  else if (word === LAGGED) client._cut('lagged');
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

/** Fulfilled when the client takes more; `undefined` if it does at once. */
function whenReady(client) {
  return client._outstanding < HIGH_WATER_MARK ? undefined : whenWritten(client);
}

/** Fulfilled when everything is written, or the client has ended. */
function whenWritten(client) {
  if (client._drain) return client._drain.promise;
  let done;
  const promise = new Promise((resolve) => (done = resolve));
  client._drain = { promise, done };
  flush();
  writer.ask(client._slot);
  return promise;
}

function ready(client) {
  client._outstanding = 0;
  client._drain?.done();
  client._drain = undefined;
}

/** Has everything written, and then the response ended by Node. */
function end(client) {
  flush();
  // As after `res.end()`, which comes later.
  Object.defineProperty(client.res, 'writableEnded', { value: true, configurable: true });
  writer.end(client._slot);
}

function giveBack(client) {
  const { res } = client;
  restore(res.socket._handle, handleMethods(res.socket._handle));
  restore(res, RESPONSE_METHODS);
  delete res.writableEnded;
  forget(client);
  res.end();
}

/** Lets go of the descriptor: after this it is not written to any more. */
function forget(client) {
  const number = client._slot;
  if (number === NONE) return;
  flush();
  client._slot = NONE;
  clients[number] = undefined;
  writer.remove(number);
  ready(client);
}

function override(object, client, methods) {
  object[CLIENT] = client;
  Object.assign(object, methods);
}

function restore(object, methods) {
  delete object[CLIENT];
  for (const name of Object.keys(methods)) delete object[name];
}

/** The descriptor's number may be that of another connection as soon as it is closed, so it is let go of before. */
const TCP_METHODS = {
  close(...args) {
    forget(this[CLIENT]);
    return Object.getPrototypeOf(this).close.apply(this, args);
  },
  reset(...args) {
    forget(this[CLIENT]);
    return Object.getPrototypeOf(this).reset.apply(this, args);
  },
};

const { reset: _, ...PIPE_METHODS } = TCP_METHODS;

function handleMethods(handle) {
  return handle.reset ? TCP_METHODS : PIPE_METHODS;
}

/** What the application writes by itself must not come between the parts of a frame. */
const RESPONSE_METHODS = {
  write(chunk, encoding, callback) {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    const client = this[CLIENT];
    if (client._end !== undefined) return refuseWrite(callback);
    writeChunk(client, chunk, encoding);
    if (callback) whenWritten(client).then(() => callback());
    const full = whenReady(client);
    full?.then(() => this.emit('drain'));
    return full === undefined;
  },

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') return this.end(undefined, undefined, chunk);
    if (typeof encoding === 'function') return this.end(chunk, undefined, encoding);
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    if (callback) this.once('finish', callback);
    this[CLIENT].close();
    return this;
  },
};

function writeChunk(client, chunk, encoding) {
  client._quiet = 0;
  flush();
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
  client._outstanding += bytes.length;
  writer.writeBytes(bytes, client._slot);
}

function refuseWrite(callback) {
  const error = Object.assign(new Error('write after end'), { code: 'ERR_STREAM_WRITE_AFTER_END' });
  if (callback) process.nextTick(callback, error);
  return false;
}

module.exports = { NONE, isLoaded: Writer !== undefined, adopt, end, whenReady, write };
