// A program that uses all of the package, which the checks compile and nobody runs.

import express from 'express'
import fastify from 'fastify'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { Readable } from 'node:stream'

import SSE = require('sse')

const server = http.createServer()
const sse: SSE = new SSE(server, {
  path: '/events/*',
  verifyRequest: request => request.headers.cookie === 'yes',
  keepAlive: 15_000,
  retry: 2_000,
  maxBacklog: { bytes: 1024, age: 1000, policy: 'keep' },
})

for (const other of [https.createServer(), http2.createServer(), http2.createSecureServer(), fastify().server]) new SSE(other)
new SSE(express().listen())
SSE(server)

sse.on('connection', (client, query) => {
  const name: string | string[] | undefined = query['name']
  client.send(`hi ${String(name)}`)
  client.send('greeting', { to: name }, 7)
  client.send({ event: 'greeting', data: 'hi', id: 8n, retry: 0 })
  client.send()
  client.res.write(': by hand\n\n', () => client.res.writeHead(200, { a: 'b' }))
  client.req.on('data', () => client.req.pause())
  client.on('close', () => console.log(client.req.url, client.res.writableEnded, client.native))
  const id: string | undefined = client.lastEventId
  client.closed.then((end: 'closed' | 'gone' | 'lagged') => console.log(end, id))
  client.join(sse.channel('news'), sse.channel('sports', { history: 10, historyBytes: 1000, replay: 'earliest' }))
  client.close()
})

async function follow(client: SSE.Client): Promise<void> {
  await client.pipe(['a', 1, { data: 'b' }])
  await client.pipe(Readable.from(['a']), { end: true })
  const hub: SSE.Hub = sse.hub('http://localhost:8080', { token: async () => 'token' })
  const { id } = await hub.publish('news', { event: 'e', data: [1] }, { idempotencyKey: 'k', end: true })
  await client.pipe(hub.follow(['news'], { lastEventId: id, signal: AbortSignal.timeout(1000), onRetry: error => console.log(error.cause) }))
  for await (const { event, data } of hub.follow('news', { last: 5 })) sse.channel('news').broadcast({ event, data })
}

const news: SSE.Channel = sse.channel('news')
const place: string = news.broadcast('x', { filter: client => client.req.headers.host })
const count: number = sse.broadcast({ event: 'x', data: place }, { filter: () => true })
news.leave(new SSE.Client(...([] as unknown as [http.IncomingMessage, http.ServerResponse])))
sse.clients.forEach(client => void follow(client))
void sse.close({ grace: count }).then(() => server.close())

// What is not there, or not so, does not compile.

// @ts-expect-error: a server is needed
new SSE()
// @ts-expect-error: no such option
new SSE(server, { paths: '/sse' })
// @ts-expect-error: no such policy
new SSE(server, { maxBacklog: { policy: 'drop' } })
// @ts-expect-error: milliseconds are a number
new SSE(server, { keepAlive: '15s' })
// @ts-expect-error: an event's name is a text
sse.on('connection', client => client.send(1, 'data', {}))
// @ts-expect-error: it is read only
sse.server = server
// @ts-expect-error: a text cannot be told apart from its characters
sse.on('connection', client => client.pipe(7))
