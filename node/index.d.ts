/// <reference types="node" />

import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { ParsedUrlQuery } from 'node:querystring';

/**
 * Event streams (`text/event-stream`) on an HTTP server that you already have.
 *
 * It takes over the server's `'request'` listeners: a request whose path matches becomes a client,
 * every other one goes to the listeners that the server had. May be called without `new`.
 *
 * ```js
 * const server = http.createServer((req, res) => res.end('okay'));
 * const sse = new SSE(server);
 * sse.on('connection', (client) => client.send('hi there!'));
 * ```
 */
declare const SSE: SSE.Constructor;
interface SSE extends EventEmitter {
  /** A stream has begun; `query` is the parsed query of its URL. */
  on(event: 'connection', listener: (client: SSE.Client, query: ParsedUrlQuery) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once(event: 'connection', listener: (client: SSE.Client, query: ParsedUrlQuery) => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
  addListener(event: 'connection', listener: (client: SSE.Client, query: ParsedUrlQuery) => void): this;
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  off(event: 'connection', listener: (client: SSE.Client, query: ParsedUrlQuery) => void): this;
  off(event: string | symbol, listener: (...args: any[]) => void): this;
  removeListener(event: 'connection', listener: (client: SSE.Client, query: ParsedUrlQuery) => void): this;
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;

  /** The server that it is attached to. */
  readonly server: SSE.Server;

  /** The clients whose streams are open, in the order in which they came. */
  readonly clients: ReadonlySet<SSE.Client>;

  /**
   * Answers a request with an event stream, whatever its path: for a route of a framework. Emits
   * `'connection'`.
   *
   * @param query what `'connection'` is given as its query, unparsed; if left out, that of `req.url`.
   */
  handleRequest(req: SSE.Request, res: SSE.Response, query?: string | null): SSE.Client;

  /** Whether a request's path is one of `pattern`, in which each `*` stands for any text. */
  matchesPath(path: string, pattern: string): boolean;

  /**
   * Sends one event to all clients, or to those that `filter` chooses, and tells to how many. It is
   * encoded once.
   */
  broadcast(event: SSE.Data | SSE.Event, options?: SSE.BroadcastOptions): number;

  /**
   * A group of clients with a history. A name gives the same channel each time until it is closed,
   * whose options are those of the first call; without a name it is a new one.
   */
  channel(name?: string, options?: SSE.ChannelOptions): SSE.Channel;
  channel(options: SSE.ChannelOptions): SSE.Channel;

  /** A fanfare hub, to publish to and to follow. What follows it ends with {@link close}. Its address is of `http` or `https`. */
  hub(url: string | URL, options?: SSE.HubOptions): SSE.Hub;

  /**
   * Ends all streams behind what has been sent, and has `server.close()` able to finish. New requests
   * for a stream are answered 503. The promise is fulfilled when no stream is open; one whose peer
   * takes nothing is cut off when `grace` is over.
   */
  close(options?: SSE.CloseOptions): Promise<void>;
}

declare namespace SSE {
  interface Constructor {
    new (server: Server, options?: Options): SSE;
    (server: Server, options?: Options): SSE;
    readonly prototype: SSE;
    /** One connected event stream. */
    readonly Client: ClientConstructor;
    /** Whether the addon was loaded: see "When Rust writes" in the README. */
    readonly native: boolean;
  }

  interface ClientConstructor {
    /** A client without an `SSE`: {@link Client.initialize} sends the head. */
    new (req: Request, res: Response): Client;
    readonly prototype: Client;
  }

  type Request = IncomingMessage | Http2ServerRequest;
  type Response = ServerResponse | Http2ServerResponse;

  /** What `http`, `https` and `http2` (its compatibility API) make, and what Express and Fastify stand on. */
  interface Server {
    on(event: 'request', listener: (req: any, res: any) => void): unknown;
    listeners(event: 'request'): Function[];
    removeAllListeners(event: 'request'): unknown;
  }

  interface Options {
    /** Which requests are for an event stream: a path, in which each `*` stands for any text. `/sse` if left out. */
    path?: string;
    /**
     * Whether a request whose path matches is let in. If not, it goes to the server's other listeners.
     * May answer with a promise; if that is rejected, the request is answered 500, and `'error'` is emitted where
     * somebody listens to it.
     */
    verifyRequest?: ((req: any) => unknown) | null;
    /** The silence after which a comment is sent, in milliseconds; up to a quarter more. None are sent if left out. */
    keepAlive?: number;
    /** How long a client waits before it connects again, in milliseconds: told at the start of each stream. */
    retry?: number;
    /** How far a client may fall behind. */
    maxBacklog?: MaxBacklog;
  }

  /** How far a client may fall behind before it is cut off; it can come back with its last event id. */
  interface MaxBacklog {
    /** How many bytes may wait for a client. 64 MiB if left out. */
    bytes?: number;
    /**
     * How long it may take nothing of what waits for it, in milliseconds; up to a quarter more. Over HTTP/2, all streams of
     * a connection take together. 60,000 if left out.
     */
    age?: number;
    /** `'close'` (if left out) cuts the connection; `'keep'` has everything wait, however much. */
    policy?: 'close' | 'keep';
  }

  /**
   * What can be an event's data. Text is sent as it is, line by line; `null` and `undefined` are the
   * empty text; a `Uint8Array` is UTF-8; arrays and objects without a `toString` of their own are JSON;
   * everything else is its text.
   */
  type Data = string | number | bigint | boolean | object | null | undefined;

  interface Event {
    /** The event's name. Not sent if it is empty. A `TypeError` if it holds a line end. */
    event?: string | null;
    data?: Data;
    /** Not sent if it is empty; 0 is sent. A `TypeError` if it holds a line end or NUL. */
    id?: string | number | bigint | null;
    /** The reconnection time in milliseconds; 0 is sent. A `TypeError` if it is no whole number. */
    retry?: number | string | null;
  }

  interface BroadcastOptions {
    /** For whom the event is. In a channel it is asked again when a client resumes. */
    filter?: (client: Client) => unknown;
  }

  interface CloseOptions {
    /** How long streams have to end, in milliseconds. 5,000 if left out. */
    grace?: number;
  }

  /** Why a stream has ended: from this side; the peer left; it fell behind {@link MaxBacklog}. */
  type End = 'closed' | 'gone' | 'lagged';

  interface Client extends EventEmitter {
    /** The stream has ended, from whichever side. */
    on(event: 'close', listener: () => void): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
    once(event: 'close', listener: () => void): this;
    once(event: string | symbol, listener: (...args: any[]) => void): this;
    addListener(event: 'close', listener: () => void): this;
    addListener(event: string | symbol, listener: (...args: any[]) => void): this;
    off(event: 'close', listener: () => void): this;
    off(event: string | symbol, listener: (...args: any[]) => void): this;
    removeListener(event: 'close', listener: () => void): this;
    removeListener(event: string | symbol, listener: (...args: any[]) => void): this;

    /** Node's; over HTTP/2 that of its compatibility API, which has the same methods. */
    readonly req: IncomingMessage;
    readonly res: ServerResponse;

    /** From `Last-Event-ID`, or `lastEventId`, `last_event_id` or `evs_last_event_id` in the query; `undefined` if there is none, or one that no event can have. */
    readonly lastEventId: string | undefined;

    /** Fulfilled when the stream has ended, with why. Never rejected. */
    readonly closed: Promise<End>;

    /** Whether Rust writes this stream now. */
    readonly native: boolean;

    /** Sends the head and `:ok`. An {@link SSE} has done so before `'connection'`. */
    initialize(): void;

    /**
     * Sends an event. One argument that is an object is an event, any other is data; two and more are
     * `event`, `data`, `id`. Without any, nothing is sent, nor after the end of the stream. A `TypeError` if
     * an object has none of the fields of an event.
     */
    send(data: Data | Event): void;
    send(event: string | null | undefined, data: Data, id?: string | number | bigint | null): void;
    send(): void;

    /**
     * Sends what `source` gives, no faster than the client takes it: each item as {@link send} takes it
     * as its one argument; bytes are UTF-8 that may be cut anywhere. When the client ends, so does the
     * source. The promise is fulfilled when either has ended, and rejected if the source fails; then the
     * {@link SSE}, if the client is one's, emits `'error'` where somebody listens to it, and nobody has to wait for the promise.
     */
    pipe(source: AsyncIterable<Data | Event> | Iterable<Data | Event>, options?: PipeOptions): Promise<void>;

    /**
     * Joins several channels at once, in the order of their events. A client that resumes must join all
     * its channels together, or it could miss events.
     */
    join(...channels: Channel[]): void;

    /** Ends the stream behind what has been sent. */
    close(): void;
  }

  interface PipeOptions {
    /** Whether the stream ends when the source does. An `EventSource` would connect again. `false` if left out. */
    end?: boolean;
  }

  interface ChannelOptions {
    /** How many events are kept for clients that resume. 16,384 if left out; 0 keeps none. */
    history?: number;
    /** How many bytes of events are kept. 4 MiB if left out. */
    historyBytes?: number;
    /** Where a client without a last event id starts: with what comes (if left out), or with all that is kept. */
    replay?: 'latest' | 'earliest';
  }

  /**
   * A group of clients. Its events carry ids (`<epoch>-<position>`, counted over all channels of an
   * `SSE`), so that a client which comes back is given what it missed. If that is no longer kept, an
   * event named `gap` says so, whose data is JSON: `{"reason","requested","resumed_from"}`, with
   * `expired` or `unknown` as the reason.
   */
  interface Channel {
    /** As it was asked for; `undefined` if without. */
    readonly name: string | undefined;
    /** How many clients are in it. */
    readonly size: number;
    /** Gives a client this channel's events, after its last event id if it has one. Twice is once. */
    join(client: Client): void;
    /** Gives it no more of them. Its stream goes on. */
    leave(client: Client): void;
    /**
     * Sends an event to all in the channel, and tells its id. One that brings its own id keeps it; a
     * client can resume from that too, while it is kept. An `Error` after {@link close}.
     */
    broadcast(event: Data | Event, options?: BroadcastOptions): string;
    /** Its clients leave; the stream of one that is in no other channel ends. */
    close(): void;
  }

  interface HubOptions {
    /** A JSON Web Token, or a function that gives one, asked before each request. If it throws, so does what asked. */
    token?: string | (() => string | Promise<string>);
  }

  /** A fanfare hub over HTTP: docs/protocol.md of fanfare. */
  interface Hub {
    /**
     * Publishes an event, and tells its id when it is durable. Rejected with a {@link HubError} if the
     * hub refuses it. An event's own id does not count: the hub gives one.
     */
    publish(topic: string, event: Data | Event, options?: PublishOptions): Promise<{ id: string }>;

    /**
     * The events of topics, live, as `client.pipe()`, `channel.broadcast()` and `for await` take them.
     * It connects again after a loss, and goes on behind the last event; ends when its topics have ended,
     * and throws what another time would not mend: a {@link HubError} if the hub refuses it.
     */
    follow(topics: string | string[], options?: FollowOptions): AsyncIterableIterator<Followed>;
  }

  interface PublishOptions {
    /** The same key to the same topic publishes once, however often it is tried. */
    idempotencyKey?: string;
    /** The topic ends behind this event. */
    end?: boolean;
    signal?: AbortSignal;
  }

  interface FollowOptions {
    /** Begins behind this event: `client.lastEventId`, for instance. */
    lastEventId?: string;
    /** Begins with the newest `last` events. */
    last?: number;
    /** Begins with the oldest event that is kept, or with what comes (if left out). */
    from?: 'earliest' | 'latest';
    /** Told of each loss before the wait for the next connection. If it throws, so does what follows. */
    onRetry?: (error: Error) => void;
    /** Ends it. */
    signal?: AbortSignal;
  }

  /** An event as it was received. */
  interface Followed {
    event: string | undefined;
    data: string;
    id: string | undefined;
  }

  /** What a hub answers instead: its `message` says what to do. */
  interface HubError extends Error {
    readonly name: 'HubError';
    readonly status: number;
  }
}

export = SSE;
