// Descriptors are used again at once: no byte of a stream may come in a foreign answer.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { listen } from '../support/hosts.js'
import { dechunked, get, raw } from '../support/raw.js'
import { isSoak } from '../support/soak.js'
import { SSE } from '../support/subject.js'

const SECONDS = isSoak ? 60 : 2
const LOOPS = 30
const BROADCAST_EVERY_MS = 5
const ANSWERS_PER_STREAM = 10
const CLOSING = { headers: { Connection: 'close' } }

/** How a stream may end, on either side. */
const ENDS = [
  ({ stream }) => stream.socket.destroy(),
  ({ stream }) => stream.socket.end(),
  ({ stream }) => stream.socket.resetAndDestroy(),
  ({ client }) => client.close(),
  ({ client }) => client.res.destroy(),
  ({ client }) => client.req.socket.destroy(),
  ({ client }) => client.req.socket.resetAndDestroy(),
  ({ client, stream }) => client.close() ?? stream.socket.destroy(),
  ({ client, stream }) => client.send('late') ?? stream.socket.resetAndDestroy(),
]

test('streams and plain answers take turns', async t => {
  const server = http.createServer((request, response) => response.end(`answer to ${request.url}`))
  const sse = new SSE(server, { keepAlive: 5 })
  const clients = new Map()
  sse.on('connection', (client, { number }) => clients.set(number, client))
  await listen(t, server)
  const { port } = server.address()
  const broadcasting = setInterval(() => {
    sse.broadcast('to all')
    for (const [number, client] of clients) client.send(`to ${number}`)
  }, BROADCAST_EVERY_MS)
  t.after(() => clearInterval(broadcasting))
  let [next, answers] = [0, 0]

  async function follow(end) {
    const number = `${next++}`
    const stream = await raw(t, port, get(`/sse?number=${number}`))
    await stream.until(/data: to all[^]*data: to \d+\n/)
    end({ stream, client: clients.get(number) })
    if (!stream.socket.destroyed && clients.get(number).res.writableEnded) stream.socket.end()
    await stream.untilEnd()
    clients.delete(number)
    checkStream(stream.text, number)
  }

  async function ask() {
    const target = `/plain/${next++}`
    const answer = await raw(t, port, get(target, CLOSING))
    checkAnswer(await answer.untilEnd(), `answer to ${target}`)
    answers++
  }

  await forSeconds(async loop => {
    await follow(ENDS[(loop + next) % ENDS.length])
    for (let count = 0; count < ANSWERS_PER_STREAM; count++) await ask()
  })
  t.diagnostic(`${answers} answers, ${next - answers} streams`)
  assert.ok(answers > 50, `only ${answers} answers`)
})

test('a descriptor is used again in the same turn in which its stream ends', async t => {
  const server = http.createServer()
  const sse = new SSE(server)
  await listen(t, server)
  const sink = net.createServer()
  await listen(t, sink)
  let rounds = 0
  const ends = [
    client => client.res.destroy(),
    client => client.req.socket.destroy(),
    client => client.req.socket.resetAndDestroy(),
    client => (client.close(), client.req.socket.destroy()),
    client => server.closeAllConnections() ?? client,
  ]
  await endlessly(SECONDS, async () => {
    const connection = once(sse, 'connection')
    const stream = await raw(t, server.address().port)
    const [client] = await connection
    await stream.until(':ok')
    for (let number = 0; number < 200; number++) client.send(`event ${number} ${'x'.repeat(100)}`)
    ends[rounds++ % ends.length](client)
    // The system gives the smallest number that is free.
    const socket = net.connect(sink.address().port, '127.0.0.1')
    const accepted = once(sink, 'connection')
    socket.end('hello')
    const [peer] = await accepted
    assert.equal(Buffer.concat(await peer.toArray()).toString(), 'hello')
    await stream.untilEnd()
  })
  t.diagnostic(`${rounds} rounds`)
  assert.ok(rounds > 20)
})

test('workers are terminated while they write', async t => {
  const server = http.createServer((request, response) => response.end(`answer to ${request.url}`))
  await listen(t, server)
  const { port } = server.address()
  let [answers, workers] = [0, 0]
  const terminating = endlessly(SECONDS, async () => {
    const worker = new Worker(new URL('worker.js', import.meta.url))
    const [streamsPort] = await once(worker, 'message')
    const streams = []
    while (streams.length < 30) streams.push(await raw(t, streamsPort))
    await Promise.all(streams.map(stream => stream.until(/(data: of a worker[^]*){3}/)))
    await worker.terminate()
    await Promise.all(streams.map(stream => stream.untilEnd()))
    workers++
  })
  const asking = Array.from({ length: 20 }, () =>
    endlessly(SECONDS, async () => {
      const target = `/plain/${answers++}`
      const answer = await raw(t, port, get(target, CLOSING))
      checkAnswer(await answer.untilEnd(), `answer to ${target}`)
    }),
  )
  await Promise.all([terminating, ...asking])
  t.diagnostic(`${answers} answers, ${workers} workers`)
  assert.ok(workers > 0 && answers > 50, `only ${workers} workers, ${answers} answers`)
})

function checkAnswer(text, expected) {
  assert.ok(text.startsWith('HTTP/1.1 200 OK\r\n') && text.endsWith(`\r\n\r\n${expected}`), JSON.stringify(text))
  assert.ok(!/data:|:ok/.test(text), JSON.stringify(text))
}

/** It may be cut off anywhere, but what there is is its own. */
function checkStream(text, number) {
  const body = text.slice(text.indexOf('\r\n\r\n') + 4)
  const whole = body.slice(0, body.lastIndexOf('\n\n\r\n') + 4)
  const own = new RegExp(`^:ok\\n\\n(?:data: to all\\n\\n|data: to ${number}\\n\\n|data: late\\n\\n|:\\n\\n)*$`)
  assert.match(dechunked(whole), own)
}

async function forSeconds(action) {
  await Promise.all(Array.from({ length: LOOPS }, (_, loop) => endlessly(SECONDS, () => action(loop))))
}

async function endlessly(seconds, action) {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) await action()
}
