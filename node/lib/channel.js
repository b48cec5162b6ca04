'use strict';

const { encode, encodeId, isSet, toEvent } = require('./encode');

const DEFAULTS = { history: 16_384, historyBytes: 4 * 1024 * 1024, replay: 'latest' };

/** A longer id of a client is not told back to it, in bytes. */
const LONGEST_TOLD_ID = 128;

/** A group of clients, and the newest of its events. */
class Channel {
  constructor(log, name, options, onClose) {
    this.name = name;
    this._log = log;
    this._options = checked(options);
    this._onClose = onClose;
    this._members = new Set();
    /** Who has been in it: their last event id counts for nothing any more. */
    this._known = new WeakSet();
    /** What is kept, behind `_first` dropped places. */
    this._events = [];
    this._first = 0;
    this._bytes = 0;
    /** The positions of those that came with an id. */
    this._named = new Map();
    /** The position of the newest event that is no longer kept. */
    this._trimmed = 0;
    this._isClosed = false;
  }

  get size() {
    return this._members.size;
  }

  join(client) {
    joinAll(client, [this]);
  }

  leave(client) {
    this._members.delete(client);
    client._channels?.delete(this);
  }

  broadcast(what, options) {
    if (this._isClosed) throw new Error('the channel was closed: nothing can be broadcast any more');
    const event = toEvent(what);
    const readers = chosen(this._members, options);
    const position = this._log.newest + 1;
    const id = isSet(event.id) ? String(event.id) : this._log.id(position);
    const text = encode(event.event, event.data, id, event.retry);
    this._log.newest = position;
    if (isSet(event.id)) this._named.set(id, position);
    this._keep({ position, id, text, bytes: Buffer.byteLength(text), filter: options?.filter });
    for (const client of readers) {
      client._knowsPlace = true;
      client._write(text);
    }
    return id;
  }

  close() {
    if (this._isClosed) return;
    this._isClosed = true;
    for (const client of [...this._members]) this._dismiss(client);
    this._onClose(this);
  }

  /** Ends the stay of a client that has been given everything. */
  _dismiss(client) {
    this.leave(client);
    if (client._channels.size === 0) client.close();
  }

  _keep(event) {
    this._events.push(event);
    this._bytes += event.bytes;
    const { history, historyBytes } = this._options;
    while (this._kept > history || (this._bytes > historyBytes && this._kept > 1)) this._dropOldest();
  }

  get _kept() {
    return this._events.length - this._first;
  }

  _dropOldest() {
    const { position, id, bytes } = this._events[this._first];
    if (this._named.get(id) === position) this._named.delete(id);
    this._events[this._first++] = undefined;
    this._bytes -= bytes;
    this._trimmed = position;
    if (this._first > this._kept) {
      this._events.splice(0, this._first);
      this._first = 0;
    }
  }

  /** What a client is given when it joins: the events, and why some are missing before these. */
  _replayFor(client) {
    const id = this._known.has(client) ? undefined : client.lastEventId;
    if (id !== undefined) return this._after(id);
    return { events: this._options.replay === 'earliest' ? this._events.slice(this._first) : [] };
  }

  _after(id) {
    const after = this._find(id);
    if (typeof after === 'string') return { events: this._events.slice(this._first), missing: after };
    return { events: this._events.slice(this._indexBehind(after)) };
  }

  /** The position of an event's id, or why there is none to go on from. */
  _find(id) {
    const named = this._named.get(id);
    if (named !== undefined) return named;
    const position = this._log.position(id);
    if (position === undefined || position > this._log.newest) return 'unknown';
    return position < this._trimmed ? 'expired' : position;
  }

  /** The index of the first event behind a position. They are sorted by it. */
  _indexBehind(position) {
    let from = this._first;
    let to = this._events.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this._events[middle].position > position) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}

/** Joins channels at once: what is replayed is in the order of the positions, over all of them. */
function joinAll(client, channels) {
  const joined = channels.filter((channel) => !channel._members.has(client));
  if (joined.length === 0 || client._end !== undefined) return;
  client._channels ??= new Set();
  const replays = joined.map((channel) => ({ channel, ...channel._replayFor(client) }));
  // Before it is in them: a filter may throw.
  const events = replays.flatMap((replay) => replay.events).filter(({ filter }) => !filter || filter(client));
  for (const channel of joined) {
    channel._known.add(client);
    channel._members.add(client);
    client._channels.add(channel);
  }
  const gaps = replays.filter(({ missing }) => missing).map((replay) => gapOf(replay, client));
  if (joined.length > 1) events.sort((a, b) => a.position - b.position);
  client._knowsPlace ||= events.length > 0 || (gaps.length > 0 && client._channels.size === 1);
  const text = [...gaps, ...events.map((event) => event.text), ...placeOf(joined[0], client)].join('');
  if (text !== '') client._write(text);
  for (const channel of joined) if (channel._isClosed) channel._dismiss(client);
}

/** With several channels no id is given: what is before it in another one may be on its way. */
function gapOf({ channel, missing }, client) {
  const requested = client.lastEventId;
  const gap = { reason: missing };
  if (Buffer.byteLength(requested) <= LONGEST_TOLD_ID) gap.requested = requested;
  if (client._channels.size === 1) gap.resumed_from = channel._log.id(channel._trimmed);
  return encode('gap', JSON.stringify(gap), gap.resumed_from);
}

/** A client that was given no event yet could not resume: an id without data tells it the place. */
function placeOf(channel, client) {
  if (client._knowsPlace) return [];
  client._knowsPlace = true;
  return [encodeId(channel._log.id(channel._log.newest))];
}

/** For whom of `clients` an event is. */
function chosen(clients, options = {}) {
  if (typeof options !== 'object') throw new TypeError('broadcast takes one event and options: broadcast({ event, data })');
  return options.filter ? [...clients].filter(options.filter) : clients;
}

function checked(options = {}) {
  const { history, historyBytes, replay } = { ...DEFAULTS, ...options };
  if (!(history >= 0 && historyBytes >= 0)) throw new TypeError("a channel's history and historyBytes are numbers, 0 or more");
  if (replay !== 'latest' && replay !== 'earliest') throw new TypeError("a channel's replay is 'latest' or 'earliest'");
  return { history, historyBytes, replay };
}

module.exports = { Channel, chosen, joinAll };
