// Servers with streams, and what clients of them are given.

import { once } from 'node:events'

import { host } from './hosts.js'
import { PATIENCE_MS } from './received.js'
import { SSE } from './subject.js'

/** A server with streams; what `onConnection` does with a client is what the test is about. */
export async function streams(t, { kind, options, onConnection } = {}) {
  const { server, port, ask } = await host(t, kind)
  const sse = new SSE(server, options)
  if (onConnection) sse.on('connection', onConnection)
  return { sse, server, port, ask, join: (path, headers) => join(sse, ask, path, headers) }
}

/** Connects, and gives both sides: the client of the server, and the answer. */
async function join(sse, ask, path = '/sse', headers) {
  const connection = once(sse, 'connection', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const answer = await ask(path, headers)
  const [client, query] = await connection
  return { client, query, answer }
}

/** All that a client is given to which `send` is done before it is closed. */
export async function given(t, send, options) {
  const { join } = await streams(t, { options })
  const { client, answer } = await join()
  await send(client)
  client.close()
  const text = await answer.untilEnd()
  return text.replace(/^:ok\n\n/, '')
}
