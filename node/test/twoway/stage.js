// A program, run with one of the two packages: all bytes that its clients are given, and what happens in it, in order.

import { once } from 'node:events'
import http from 'node:http'

import { listen } from '../support/hosts.js'
import { dechunked, get, raw } from '../support/raw.js'
import { PATIENCE_MS, eventually } from '../support/received.js'

/** Runs `program` with the class `SSE`. */
export async function run(t, SSE, { options, prepare, program }) {
  const stage = new Stage(t, SSE)
  await stage.begin(options, prepare)
  await program(stage)
  await stage.settle()
  return { events: stage.events, answers: stage.connections.map(answers) }
}

class Stage {
  events = []
  connections = []
  clients = []

  constructor(t, SSE) {
    this.t = t
    this.SSE = SSE
  }

  async begin(options, prepare) {
    this.server = http.createServer((request, response) => {
      this.log(`asked for ${request.url}`)
      response.end('okay')
    })
    prepare?.(this.server, this)
    this.sse = new this.SSE(this.server, options)
    this.sse.on('connection', (client, query) => this.#meet(client, query))
    this.server.on('close', () => this.log('server close'))
    await listen(this.t, this.server)
    this.port = this.server.address().port
  }

  log(event) {
    this.events.push(event)
  }

  /** Connects, and waits for the client of the stream. */
  async join(target = '/sse', details) {
    const connection = once(this.sse, 'connection', { signal: AbortSignal.timeout(PATIENCE_MS) })
    const stream = await this.ask(get(target, details))
    const [client] = await connection
    await stream.until(':ok\n\n')
    return { stream, client }
  }

  async ask(request) {
    const connection = await raw(this.t, this.port, request)
    this.connections.push(connection)
    return connection
  }

  /** Waits until the program has logged this event so many times. */
  happens(event, times = 1) {
    return eventually(() => this.events.filter(one => one === event).length >= times, `${event}; ${this.events}`)
  }

  /** Does something that may throw, which is an event too. */
  attempt(action) {
    try {
      action()
    } catch (error) {
      this.log(`threw ${error.name}`)
    }
  }

  /** A few turns more, for what is not to happen. */
  async settle() {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  }

  #meet(client, query) {
    const name = this.clients.push(client)
    this.log(`connection ${name} ${JSON.stringify(query)}`)
    this.#watch(`client ${name}`, client, ['close', 'error'])
    this.#watch(`request ${name}`, client.req, ['close', 'end', 'error', 'aborted'])
    this.#watch(`response ${name}`, client.res, ['close', 'finish', 'error'])
    this.#watch(`socket ${name}`, client.req.socket, ['close', 'end', 'error'])
    this.onConnection?.(client)
  }

  #watch(name, emitter, events) {
    for (const event of events) emitter.on(event, why => this.log(`${name} ${event}${why?.code ? ` ${why.code}` : ''}`))
  }
}

/** What came over a connection, as a list of heads and bodies; those of streams without the framing of chunks. */
function answers({ text, hasEnded }) {
  const parts = text.split(/(?=HTTP\/1\.1 )/)
  return { parts: parts.map(part => unframed(part.replace(/Date: .*/, 'Date: ...'))), hasEnded }
}

function unframed(answer) {
  const [head, ...rest] = answer.split('\r\n\r\n')
  const body = rest.join('\r\n\r\n')
  if (!/transfer-encoding: chunked/i.test(head)) return { head, body }
  return { head, body: dechunked(body), isWhole: body.endsWith('0\r\n\r\n') }
}
