'use strict';

const { ServerResponse } = require('node:http');
const { isUint8Array } = require('node:util/types');
const { isMainThread } = require('node:worker_threads');
const writer = require('./writer');

/** The client of a handle, a socket or a response whose methods are replaced. */
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
  override(socket, client, SOCKET_METHODS);
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
    !Object.hasOwn(socket, 'write') &&
    !Object.hasOwn(socket, 'end') &&
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
  restore(socket, SOCKET_METHODS);
  restore(res, RESPONSE_METHODS);
  if (bytes === null) res.destroy();
  else if (bytes.length > 0) socket.write(bytes, client._watch());
  for (const text of texts) client._writeByNode(text);
}

function override(object, client, methods) {
  object[CLIENT] = client;
  Object.defineProperties(object, methods);
}

/** Somebody may have put something else in the place of one. */
function restore(object, methods) {
  for (const [name, { value, get }] of Object.entries(methods)) {
    const own = Object.getOwnPropertyDescriptor(object, name);
    if (own !== undefined && own.value === value && own.get === get) delete object[name];
  }
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

const PIPE_METHODS = { close: replacing(close) };
const TCP_METHODS = { ...PIPE_METHODS, reset: replacing(reset) };

/** What goes to the socket past the response's methods, and the socket's end, come behind what was sent. */
function behindAll(name) {
  return function (...args) {
    giveBack(this[CLIENT]);
    return Object.getPrototypeOf(this)[name].apply(this, args);
  };
}

const SOCKET_METHODS = { write: replacing(behindAll('write')), end: replacing(behindAll('end')) };

/** What the application writes by itself must not come between the parts of a frame. */
function write(chunk, encoding, callback) {
  const client = this[CLIENT];
  if (typeof encoding === 'function') return write.call(this, chunk, undefined, encoding);
  // Somebody has kept this method; or Node refuses what is no chunk.
  if (!client.native || !isChunk(chunk)) return Object.getPrototypeOf(this).write.call(this, chunk, encoding, callback);
  client._quiet = 0;
  writer.writeBytes(client, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
  if (callback) writer.whenWritten(client).then(() => callback());
  const ready = writer.whenReady(client);
  ready?.then(() => this.emit('drain'));
  return ready === undefined;
}

function isChunk(value) {
  return typeof value === 'string' || isUint8Array(value);
}

function replacing(method) {
  return { value: method, configurable: true, writable: true };
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

const RESPONSE_METHODS = { write: yielding('write', write), end: yielding('end', behindAll('end')) };

module.exports = { adopt, giveBack };
