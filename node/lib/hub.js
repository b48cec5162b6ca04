'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { Decoder } = require('./decode');
const { toEvent, toText } = require('./encode');

/** What is waited for before a connection is tried again, in milliseconds: doubled each time, up to the longest. */
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/** A busy hub, and one that is slow, may answer another time. */
const PASSING = [408, 425, 429];

/** No hub gives a longer id: of one that a client made up, the beginning is as unknown, and fits in a request. */
const LONGEST_ID = 1024;

/** What a hub says when the token does: no event of a topic, so it has no id. */
const EXPIRED = 'expired';

class HubError extends Error {
  constructor(status, message) {
    super(message);
    this.name = 'HubError';
    this.status = status;
  }
}

/** A fanfare hub, over HTTP. */
class Hub {
  constructor(url, { token } = {}, signal) {
    this._url = checked(new URL(url)).href.replace(/\/+$/, '');
    this._token = token;
    /** Its SSE is closed. */
    this._signal = signal;
  }

  async publish(topic, what, { idempotencyKey, end, signal } = {}) {
    const { event, data, retry } = toEvent(what);
    const url = this._address([topic], { event: event || undefined, retry: retry ?? undefined, end: end ? true : undefined });
    const headers = await this._headers(idempotencyKey ? { 'Idempotency-Key': idempotencyKey } : {});
    const response = await fetch(url, { method: 'POST', headers, body: toText(data), signal });
    if (!response.ok) throw await refusal(response);
    const { id } = await response.json();
    return { id };
  }

  /** By hand, because an async generator answers `return()` only when what it waits for has come. */
  follow(topics, options = {}) {
    const stop = new AbortController();
    const events = this._until(stop, [topics].flat(), options);
    return {
      next: () => events.next(),
      return: (value) => {
        stop.abort();
        return events.return(value);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Listens to the signals that end it only as long as it lasts. */
  async *_until(stop, topics, options) {
    const signals = [this._signal, options.signal].filter(Boolean);
    const abort = () => stop.abort();
    for (const signal of signals) signal.addEventListener('abort', abort);
    if (signals.some((signal) => signal.aborted)) abort();
    try {
      yield* this._events(topics, options, stop.signal);
    } finally {
      for (const signal of signals) signal.removeEventListener('abort', abort);
    }
  }

  async *_events(topics, { lastEventId, last, from, onRetry }, signal) {
    const place = { lastEventId: String(lastEventId ?? '').slice(0, LONGEST_ID), retry: FIRST_WAIT, losses: 0 };
    while (!signal.aborted) {
      let loss = new Error('the hub has ended the stream');
      const request = await this._request(topics, place, { last, from }, signal);
      try {
        const response = await open(request);
        if (response.status === 204) return;
        yield* read(response, place);
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) throw error;
        loss = error;
      }
      onRetry?.(loss);
      await sleep(backoff(place), undefined, { signal }).catch(() => {});
    }
  }

  /** What fails here, as a token that is no header, would fail each time. */
  async _request(topics, { lastEventId }, start, signal) {
    // In the query, because an id that came from a client may be no header.
    const url = this._address(topics, lastEventId ? { lastEventId } : start);
    const headers = await this._headers({ Accept: 'text/event-stream' });
    return new Request(url, { headers, signal });
  }

  _address(topics, parameters) {
    const url = new URL(topics.length === 1 ? `${this._url}/sse/${encodeURIComponent(topics[0])}` : `${this._url}/sse`);
    if (topics.length > 1) topics.forEach((topic) => url.searchParams.append('topic', topic));
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) url.searchParams.append(name, value);
    }
    return url;
  }

  async _headers(headers) {
    const token = typeof this._token === 'function' ? await this._token() : this._token;
    return token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
  }
}

function checked(url) {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`a hub's address begins with http:// or https://, not ${url.protocol}`);
  return url;
}

async function open(request) {
  const response = await fetch(request);
  if (response.ok) return response;
  throw await refusal(response);
}

/** Whether it may be otherwise another time. `fetch` has a `TypeError` for whatever happens to a connection. */
function isPassing(error) {
  if (error instanceof HubError) return error.status >= 500 || PASSING.includes(error.status);
  return error instanceof TypeError;
}

async function* read(response, place) {
  const decoder = new Decoder(place.lastEventId);
  for await (const bytes of response.body) {
    for (const event of decoder.push(bytes)) {
      const isTopics = event.event !== EXPIRED || decoder.lastEventId !== place.lastEventId;
      place.lastEventId = decoder.lastEventId;
      place.losses = 0;
      if (isTopics) yield event;
    }
    place.lastEventId = decoder.lastEventId;
    place.retry = decoder.retry ?? place.retry;
  }
}

/** Between half of the time and all of it, so that many do not come back in the same moment. */
function backoff(place) {
  const wait = Math.min(LONGEST_WAIT, place.retry * 2 ** Math.min(place.losses++, 16));
  return wait * (0.5 + Math.random() / 2);
}

async function refusal(response) {
  const text = await response.text();
  return new HubError(response.status, detailOf(text) ?? `the hub answered ${response.status} ${response.statusText}`);
}

/** Errors are problem details, unless something stands in between. */
function detailOf(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
}

module.exports = { Hub, HubError };
