// The end of all streams, and of the server.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'

import { host, hosts } from '../support/hosts.js'
import { get, raw } from '../support/raw.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { SSE, oursOnly } from '../support/subject.js'

suite('sse.close()', { concurrency: true, ...oursOnly }, () => {
  for (const kind of Object.keys(hosts)) {
    test(`ends streams behind what was sent, and lets the server close, on ${kind}`, async t => {
      const { sse, server, join } = await streams(t, { kind })
      const members = [await join(), await join()]
      sse.broadcast('last')
      const closed = once(server, 'close')
      server.close()
      await sse.close()
      for (const { client, answer } of members) {
        assert.equal(await answer.untilEnd(), ':ok\n\ndata: last\n\n')
        assert.equal(await client.closed, 'closed')
        answer.abort()
      }
      assert.equal(sse.clients.size, 0)
      await closed
    })
  }

  test('without streams is over at once', async t => {
    const { sse } = await streams(t)
    await sse.close()
    await sse.close()
  })

  test('answers new streams 503, and other requests as before', async t => {
    const { sse, ask } = await streams(t)
    await sse.close()
    assert.equal((await ask('/sse')).status, 503)
    assert.equal(await (await ask('/else')).untilEnd(), 'okay')
  })

  test('cuts off who takes nothing when the grace is over', async t => {
    const { sse, port } = await streams(t)
    const connection = once(sse, 'connection')
    const stream = await raw(t, port)
    stream.socket.pause()
    const [client] = await connection
    for (let count = 0; count < 200; count++) client.send('x'.repeat(100_000))
    const begun = performance.now()
    await sse.close({ grace: 200 })
    const took = performance.now() - begun
    assert.ok(took > 150 && took < 3000, `${took} ms`)
    assert.equal(sse.clients.size, 0)
  })

  test('gives who is slow the time to take all', async t => {
    const { sse, port } = await streams(t)
    const connection = once(sse, 'connection')
    const stream = await raw(t, port)
    stream.socket.pause()
    const [client] = await connection
    for (let count = 0; count < 100; count++) client.send('x'.repeat(100_000))
    const closed = sse.close()
    stream.socket.resume()
    await closed
    await stream.until('0\r\n\r\n')
    assert.equal(stream.text.match(/data: x/g).length, 100)
  })
})

suite('a stream that waits on its connection behind another response', { concurrency: true, ...oursOnly }, () => {
  /** Several requests on one connection, the first of which is not answered. */
  async function waiting(t, options, count = 20) {
    const { sse, server, port } = await streams(t, { options })
    server.removeAllListeners('request')
    server.on('request', (request, response) => request.url === '/slow' || sse.handleRequest(request, response))
    const stream = await raw(t, port, get('/slow') + get('/sse').repeat(count))
    await eventually(() => sse.clients.size === count, 'all requests')
    return { sse, stream, clients: [...sse.clients] }
  }

  test('ends with the connection', async t => {
    const { sse, stream, clients } = await waiting(t)
    const warnings = []
    process.on('warning', warning => warnings.push(warning.name))
    let closes = 0
    for (const client of clients) client.on('close', () => closes++)
    stream.socket.destroy()
    for (const client of clients) assert.equal(await client.closed, 'gone')
    assert.deepEqual([sse.clients.size, closes, warnings], [0, clients.length, []])
  })

  test('is cut off when the grace is over', async t => {
    const { sse, clients } = await waiting(t)
    await sse.close({ grace: 50 })
    for (const client of clients) assert.equal(await client.closed, 'closed')
  })

  test('is cut off when too much waits for it', async t => {
    const { sse, clients: [client] } = await waiting(t, { maxBacklog: { bytes: 1000 } }, 1)
    for (let count = 0; count < 3; count++) client.send('x'.repeat(1000))
    assert.equal(await client.closed, 'lagged')
    assert.equal(sse.clients.size, 0)
  })

  test('that is asked for when its connection has ended is over at once', async t => {
    const { sse, server, port } = await streams(t)
    server.removeAllListeners('request')
    const asked = once(server, 'request')
    const stream = await raw(t, port)
    const [request, response] = await asked
    const closed = once(response, 'close')
    stream.socket.destroy()
    await closed
    assert.equal(await sse.handleRequest(request, response).closed, 'gone')
    assert.equal(sse.clients.size, 0)
  })
})

suite('the server', { concurrency: true }, () => {
  test('that closes all connections ends streams', async t => {
    const { server, join } = await streams(t)
    const { client, answer } = await join()
    const closed = once(client, 'close')
    server.closeAllConnections()
    await closed
    await answer.untilEnd()
  })

  test('that closes waits for streams', async t => {
    const { server, join } = await streams(t)
    const { client, answer } = await join()
    let hasClosed = false
    server.close(() => (hasClosed = true))
    client.send('still there')
    await answer.until('still there')
    assert.equal(hasClosed, false)
    answer.abort()
    await eventually(() => hasClosed, 'the server to close')
  })

  test('may have several SSEs that end one by one', oursOnly, async t => {
    const { server, ask } = await host(t)
    const [one, other] = ['/one', '/other'].map(path => new SSE(server, { path }))
    const [first, second] = [await ask('/one'), await ask('/other')]
    await one.close()
    await first.untilEnd()
    other.broadcast('still there')
    await second.until('still there')
  })
})
