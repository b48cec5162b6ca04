'use strict';

const { EventEmitter } = require('node:events');
const querystring = require('node:querystring');
const { encodeOnce, encodeRetry, isEvent, toEvent } = require('./encode');
const { joinAll } = require('./channel');
const connection = require('./connection');
const { deferred } = require('./deferred');
const { pipe } = require('./pipe');
const { split } = require('./path');
const handover = require('./handover');
const writer = require('./writer');

const OK = ':ok\n\n';
const HEAD = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  Connection: 'keep-alive',
};
/** HTTP/2 forbids headers that are about the connection. */
const { Connection: _, ...HEAD_OF_HTTP2 } = HEAD;

const LAST_EVENT_ID_PARAMETERS = ['lastEventId', 'last_event_id', 'evs_last_event_id'];
/** No other was ever an event's. */
const IS_ID = /^[^\r\n\0]+$/;

/** What an unattached client is held to. */
const UNLIMITED = Object.freeze({ retry: undefined, maxBytes: Infinity, maxAge: Infinity });

/** A function and no class, so that what inherited from it in the old way still does. */
function Client(req, res) {
  if (!(this instanceof Client)) return new Client(req, res);
  EventEmitter.call(this);
  this.req = req;
  this.res = res;
  this._settings = UNLIMITED;
  /** The number by which the writer knows it; below 0 while Node writes. */
  this._slot = writer.NONE;
  this._sse = undefined;
  /** Why it ended, or is ending. */
  this._end = undefined;
  this._isOver = false;
  this._closed = undefined;
  /** What was given to the writer since it last said that all is written. */
  this._outstanding = 0;
  this._drain = undefined;
  /** Node's response wants no more for now. */
  this._isFull = false;
  /** Since when Node has had something for it that it does not take; 0 if there is nothing. */
  this._waitingSince = 0;
  /** The writer takes it over when Node has written everything. */
  this._awaitsTake = false;
  /** How much its connection had taken when it was last looked. */
  this._place = 0;
  this._taken = undefined;
  /** Ticks of its SSE since it was last written to. */
  this._quiet = 0;
  this._channels = undefined;
  this._knowsPlace = false;
  res.on('close', () => this._hasEnded());
  if (connection.hasLeft(req, res)) process.nextTick(() => this._hasEnded());
  else connection.attend(this);
}

class Methods extends EventEmitter {
  get lastEventId() {
    const header = this.req.headers['last-event-id'];
    if (header) return Buffer.from(header, 'latin1').toString();
    const query = querystring.parse(split(this.req.url).query ?? '');
    return LAST_EVENT_ID_PARAMETERS.flatMap((name) => query[name] ?? []).find((id) => IS_ID.test(id));
  }

  get closed() {
    this._closed ??= deferred();
    if (this._isOver) this._closed.fulfil(this._end);
    return this._closed.promise;
  }

  get native() {
    return this._slot >= 0;
  }

  initialize() {
    const { req, res } = this;
    req.socket.setNoDelay(true);
    res.writeHead(200, req.httpVersionMajor === 1 ? HEAD : HEAD_OF_HTTP2);
    res.write(OK);
    if (this._settings.retry !== undefined) res.write(encodeRetry(this._settings.retry));
    handover.adopt(this);
  }

  send(event, data, id) {
    if (arguments.length === 0) return;
    let retry;
    if (arguments.length === 1 || isEvent(event)) ({ event, data, id, retry } = toEvent(event));
    this._write(encodeOnce(event, data, id, retry));
  }

  pipe(source, options) {
    return pipe(source, this, options);
  }

  join(...channels) {
    joinAll(this, channels);
  }

  close() {
    if (this._end !== undefined) return;
    this._end = 'closed';
    handover.giveBack(this);
    this.res.end();
  }

  _write(text) {
    if (this._end !== undefined) return;
    this._quiet = 0;
    if (this._slot >= 0) writer.write(this, text);
    else this._writeByNode(text);
  }

  _writeByNode(text) {
    const { res, _settings: settings } = this;
    if (res.writableEnded || res.destroyed) return;
    if (settings.maxBytes !== Infinity && backlog(res) > settings.maxBytes) {
      this._cut('lagged');
    } else {
      this._isFull = !res.write(text, this._watch());
    }
  }

  /** Whether it has taken nothing for too long. */
  _look(now) {
    if (this._waitingSince === 0) return;
    const place = connection.taken(this.req);
    // Whoever wraps `res.write` may lose what tells that it was taken.
    if (backlog(this.res) === 0) this._waitingSince = 0;
    else if (place !== this._place) this._waitingSince = now;
    else if (now - this._waitingSince > this._settings.maxAge) this._cut('lagged');
    this._place = place;
  }

  /** What tells that this write was taken, if none is watched yet. */
  _watch() {
    if (this._waitingSince !== 0) return undefined;
    this._waitingSince = performance.now();
    this._taken ??= () => {
      this._waitingSince = 0;
      if (this._awaitsTake) handover.adopt(this);
    };
    return this._taken;
  }

  /** Ends the connection, whatever there is to be written; a response that waits for its turn tells nothing of it. */
  _cut(end) {
    this._end = end;
    this.res.destroy();
    if (this.res.socket === null) this._hasEnded();
  }

  /** Fulfilled when it can take more, or has ended; `undefined` if it can at once. */
  _whenReady() {
    if (this._end !== undefined) return undefined;
    if (this.native) return writer.whenReady(this);
    if (!this._isFull) return undefined;
    return whenDrained(this.res).then(() => {
      this._isFull = false;
    });
  }

  _hasEnded() {
    if (this._isOver) return;
    this._end ??= this.res.writableEnded ? 'closed' : 'gone';
    this._isOver = true;
    for (const channel of this._channels ?? []) channel.leave(this);
    connection.forget(this);
    this._sse?._forget(this);
    this._closed?.fulfil(this._end);
    this.emit('close');
  }
}

/** In HTTP/2 of some versions only the stream tells. */
function backlog(res) {
  return res.writableLength ?? res.stream?.writableLength ?? 0;
}

function whenDrained(res) {
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}

Object.setPrototypeOf(Client, EventEmitter);
Client.prototype = Methods.prototype;
Object.defineProperty(Client.prototype, 'constructor', { value: Client, writable: true, configurable: true });

module.exports = Client;
