'use strict';

const { EventEmitter } = require('node:events');
const querystring = require('node:querystring');
const { encode, encodeRetry, toEvent } = require('./encode');
const { Channel, chosen } = require('./channel');
const { hasLeft } = require('./connection');
const { Hub } = require('./hub');
const { Log } = require('./log');
const { matches, split, toPattern } = require('./path');
const Client = require('./client');
const writer = require('./writer');

const DEFAULT_PATH = '/sse';
const DEFAULT_BACKLOG = { bytes: 64 * 1024 * 1024, age: 60_000, policy: 'close' };
const DEFAULT_GRACE = 5_000;

/** How often a time that is waited for is looked at, while it goes by. */
const TICKS = 4;
const SHORTEST_TICK = 5;
/** A longer one would be the shortest to Node. */
const LONGEST_TICK = 2 ** 31 - 1;

const COMMENT = ':\n\n';

/** A function and no class, because sse.js's was: it can be called, and inherited from in the old way. */
function SSE(server, options) {
  if (!(this instanceof SSE)) return new SSE(server, options);
  EventEmitter.call(this);
  const { path, verifyRequest, ...settings } = options ?? {};
  this.server = server;
  this.clients = new Set();
  this._settings = checked(settings);
  this._log = new Log();
  this._channels = new Map();
  this._closing = undefined;
  this._aborted = new AbortController();
  this._timer = undefined;
  this._attach(toPattern(path ?? DEFAULT_PATH), verifyRequest ?? (() => true));
}

class Methods extends EventEmitter {
  handleRequest(req, res, query = split(req.url).query) {
    const client = new Client(req, res);
    client._settings = this._settings;
    client._sse = this;
    this.clients.add(client);
    this._watch();
    client.initialize();
    this.emit('connection', client, querystring.parse(query));
    return client;
  }

  matchesPath(path, pattern) {
    return matches(path, toPattern(pattern));
  }

  broadcast(what, options) {
    const { event, data, id, retry } = toEvent(what);
    const readers = chosen(this.clients, options);
    const text = encode(event, data, id, retry);
    let count = 0;
    for (const client of readers) {
      client._write(text);
      count++;
    }
    return count;
  }

  channel(name, options) {
    if (typeof name === 'object') return this.channel(undefined, name);
    const known = this._channels.get(name);
    if (known) return known;
    const channel = new Channel(this._log, name, options, () => this._channels.delete(name));
    if (name !== undefined) this._channels.set(name, channel);
    return channel;
  }

  hub(url, options) {
    return new Hub(url, options, this._aborted.signal);
  }

  close({ grace = DEFAULT_GRACE } = {}) {
    this._closing ??= this._end(grace);
    return this._closing;
  }

  _attach(pattern, verifyRequest) {
    const { server } = this;
    const others = server.listeners('request');
    const passOn = (req, res) => others.forEach((listener) => listener.call(server, req, res));
    const answer = (req, res, query, isMeant) => (isMeant ? this._accept(req, res, query) : passOn(req, res));
    const answerLater = (req, res, query, isMeant) => {
      if (!hasLeft(req, res)) answer(req, res, query, isMeant);
    };
    server.removeAllListeners('request');
    server.on('request', (req, res) => {
      const { path, query } = split(req.url);
      const isMeant = this.matchesPath(path, pattern) && verifyRequest(req);
      if (typeof isMeant?.then !== 'function') answer(req, res, query, isMeant);
      // On a later tick, because what a listener throws is no rejection.
      else isMeant.then((it) => process.nextTick(answerLater, req, res, query, it), (error) => this._fail(req, res, error));
    });
  }

  _accept(req, res, query) {
    if (this._closing) refuse(req, res, 503, 'the server is going down: try again');
    else this.handleRequest(req, res, query);
  }

  /** A request could not be verified. */
  _fail(req, res, error) {
    refuse(req, res, 500, 'the request could not be verified');
    this._tell(error);
  }

  /** Nobody has to listen. */
  _tell(error) {
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  async _end(grace) {
    this._aborted.abort();
    const clients = [...this.clients];
    for (const client of clients) {
      leaveConnection(client);
      client.close();
    }
    const cut = setTimeout(() => clients.forEach((client) => client._cut('closed')), grace);
    await Promise.all(clients.map((client) => client.closed));
    clearTimeout(cut);
  }

  _forget(client) {
    this.clients.delete(client);
    if (this.clients.size > 0) return;
    clearInterval(this._timer);
    this._timer = undefined;
  }

  /** One timer for all clients, while there are any. */
  _watch() {
    const { keepAlive, maxAge } = this._settings;
    const soonest = Math.min(keepAlive, maxAge);
    if (this._timer || soonest === Infinity) return;
    const tick = Math.min(LONGEST_TICK, Math.max(SHORTEST_TICK, Math.ceil(soonest / TICKS)));
    this._timer = setInterval(() => this._look(Math.ceil(keepAlive / tick)), tick);
    this._timer.unref();
  }

  _look(quietTicks) {
    const now = performance.now();
    for (const client of this.clients) {
      client._look(now);
      if (++client._quiet > quietTicks) client._write(COMMENT);
    }
  }
}

function refuse(req, res, status, reason) {
  const head = { 'Content-Type': 'text/plain' };
  if (req.httpVersionMajor === 1) head.Connection = 'close';
  res.writeHead(status, head);
  res.end(`${reason}\n`);
}

/** A connection that was kept for a next request would keep `server.close()` waiting. */
function leaveConnection({ req, res }) {
  if (req.httpVersionMajor === 1) res.once('finish', () => req.socket.destroySoon());
}

function checked({ keepAlive, retry, maxBacklog }) {
  const { bytes, age, policy } = { ...DEFAULT_BACKLOG, ...maxBacklog };
  if (policy !== 'close' && policy !== 'keep') throw new TypeError("maxBacklog.policy is 'close' or 'keep'");
  for (const [name, value] of Object.entries({ keepAlive, 'maxBacklog.bytes': bytes, 'maxBacklog.age': age })) {
    if (value !== undefined && !(value > 0)) throw new TypeError(`${name} is a number above 0`);
  }
  if (retry !== undefined) encodeRetry(retry);
  const limits = policy === 'close' ? { maxBytes: bytes, maxAge: age } : { maxBytes: Infinity, maxAge: Infinity };
  return { keepAlive: keepAlive ?? Infinity, retry, ...limits };
}

Object.setPrototypeOf(SSE, EventEmitter);
SSE.prototype = Methods.prototype;
Object.defineProperty(SSE.prototype, 'constructor', { value: SSE, writable: true, configurable: true });
Object.defineProperty(SSE, 'native', { get: () => writer.isLoaded, enumerable: true });
SSE.Client = Client;

module.exports = SSE;
