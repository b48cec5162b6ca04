'use strict';

const { ServerResponse } = require('node:http');
const { isMainThread } = require('node:worker_threads');
const writer = require('./writer');

/** The client of a handle or a response whose methods are replaced. */
const CLIENT = Symbol('client');

/** Clients that will be taken over. */
const newcomers = [];

/**
 * Has the addon write to a client, if that can be, when Node has written what it was given at first: the head,
 * and what goes out with it. A stream that ends at once is never taken over.
 */
function adopt(client) {
  if (writer.isLoaded && newcomers.push(client) === 1) setImmediate(() => newcomers.splice(0).forEach(take));
}

function take(client) {
  const { req, res } = client;
  if (client._end !== undefined || !isPlain(req, res)) return;
  const { socket } = res;
  const handle = socket._handle;
  client._awaitsTake = socket.writableLength > 0 || handle.writeQueueSize > 0;
  if (client._awaitsTake) return;
  // A worker's handles are closed without a word when it is terminated, so there it has descriptors of its own.
  if (!writer.enter(client, handle.fd, res.chunkedEncoding, !isMainThread)) return;
  // Node sees no writes any more, and would take the stream for idle.
  socket.setTimeout(0);
  override(handle, client, handle.reset ? TCP_METHODS : PIPE_METHODS);
  override(res, client, RESPONSE_METHODS);
}

/** Whether the response goes to a socket as it is, and nobody has put something in between. */
function isPlain(req, res) {
  const { socket } = res;
  const handle = socket?._handle;
  return (
    req.httpVersionMajor === 1 &&
    req.method !== 'HEAD' &&
    !res.writableEnded &&
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

/** Has Node write from now on, behind what is not written yet. */
function giveBack(client) {
  if (!client.native) return;
  const { res } = client;
  const { socket } = res;
  const { bytes, texts } = writer.giveBack(client);
  restore(socket._handle, TCP_METHODS);
  restore(res, RESPONSE_METHODS);
  if (bytes === null) res.destroy();
  else if (bytes.length > 0) socket.write(bytes, client._watch());
  for (const text of texts) client._writeByNode(text);
}

function override(object, client, methods) {
  object[CLIENT] = client;
  Object.defineProperties(object, methods);
}

function restore(object, methods) {
  for (const name of Object.keys(methods)) delete object[name];
}

/** The descriptor's number may be that of another connection as soon as it is closed, so it is let go of before. */
function close(...args) {
  writer.leave(this[CLIENT]);
  return Object.getPrototypeOf(this).close.apply(this, args);
}

function reset(...args) {
  writer.leave(this[CLIENT]);
  return Object.getPrototypeOf(this).reset.apply(this, args);
}

const PIPE_METHODS = { close: { value: close, configurable: true, writable: true } };
const TCP_METHODS = { ...PIPE_METHODS, reset: { value: reset, configurable: true, writable: true } };

/** What the application writes by itself must not come between the parts of a frame. */
function write(chunk, encoding, callback) {
  const client = this[CLIENT];
  if (typeof encoding === 'function') return write.call(this, chunk, undefined, encoding);
  // Somebody has kept this method.
  if (!client.native) return Object.getPrototypeOf(this).write.call(this, chunk, encoding, callback);
  client._quiet = 0;
  writer.writeBytes(client, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
  if (callback) writer.whenWritten(client).then(() => callback());
  const ready = writer.whenReady(client);
  ready?.then(() => this.emit('drain'));
  return ready === undefined;
}

function end(...args) {
  giveBack(this[CLIENT]);
  return Object.getPrototypeOf(this).end.apply(this, args);
}

/** Whoever puts another method in the place of one gets the response back first: all writes shall go there. */
function yielding(name, method) {
  return {
    get: () => method,
    set(other) {
      giveBack(this[CLIENT]);
      this[name] = other;
    },
    configurable: true,
  };
}

const RESPONSE_METHODS = { write: yielding('write', write), end: yielding('end', end) };

module.exports = { adopt, giveBack };
