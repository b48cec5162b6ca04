// The end of all streams, and of the server.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'

import { host, hosts } from '../support/hosts.js'
import { raw } from '../support/raw.js'
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
