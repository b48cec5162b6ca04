// Clients that read slowly, or not at all.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'

import { raw } from '../support/raw.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

const LARGE = 'x'.repeat(100_000)

/** A client that reads nothing, and one that reads. */
async function two(t, maxBacklog) {
  const made = await streams(t, { options: { maxBacklog } })
  const connection = once(made.sse, 'connection')
  const stalled = await raw(t, made.port)
  stalled.socket.pause()
  const [slow] = await connection
  return { ...made, slow, stalled, fast: await made.join() }
}

suite('a client that does not read', { concurrency: true, ...oursOnly }, () => {
  test('is cut off when too many bytes wait for it', async t => {
    const { sse, slow, fast } = await two(t, { bytes: 1_000_000 })
    const sent = await sendUntil(sse, slow)
    assert.equal(await slow.closed, 'lagged')
    assert.ok(sent > 10, `after ${sent} events of 100 kB`)
    assert.equal(slow.res.destroyed, true)
    sse.broadcast('end')
    assert.equal((await fast.answer.until('data: end\n\n')).match(/data: x/g).length, sent)
  })

  test('is cut off when what was sent has waited too long', async t => {
    const { sse, slow, fast } = await two(t, { age: 100 })
    for (let count = 0; count < 200; count++) slow.send(LARGE)
    assert.equal(await slow.closed, 'lagged')
    sse.broadcast('end')
    await fast.answer.until('data: end\n\n')
  })

  for (const kind of ['https', 'http2 over TLS', 'http2 in clear']) {
    test(`is cut off then on ${kind}, too`, async t => {
      const { join } = await streams(t, { kind, options: { maxBacklog: { age: 100 } } })
      const { client, answer } = await join()
      answer.body.pause()
      for (let count = 0; count < 200; count++) client.send(LARGE)
      assert.equal(await client.closed, 'lagged')
    })
  }

  test('is not cut off for one event above the limit, which it does read', async t => {
    const { sse, fast } = await two(t, { bytes: 1_000_000 })
    await fast.answer.until(':ok')
    fast.client.send('x'.repeat(20_000_000))
    await fast.answer.until('x\n\n')
    fast.client.send('on')
    await fast.answer.until('data: on\n\n')
    assert.ok(sse.clients.has(fast.client))
  })

  test('is kept, with all that it is sent, where the policy says so', async t => {
    const { sse, slow, stalled } = await two(t, { bytes: 1000, age: 10, policy: 'keep' })
    for (let count = 0; count < 100; count++) sse.broadcast(LARGE)
    const begun = performance.now()
    await eventually(() => performance.now() - begun > 300, 'time to pass')
    stalled.socket.resume()
    sse.broadcast('end')
    assert.equal((await stalled.until('data: end\n\n')).match(/data: x/g).length, 100)
    assert.ok(sse.clients.has(slow))
  })

  test('is given all in order when it reads again', async t => {
    const { sse, stalled, fast } = await two(t)
    for (let number = 0; number < 300; number++) sse.broadcast({ id: number, data: LARGE })
    await fast.answer.until('id: 299\n')
    stalled.socket.resume()
    await stalled.until('id: 299\n')
    for (const { text } of [stalled, fast.answer]) {
      const ids = [...text.matchAll(/id: (\d+)/g)].map(([, id]) => Number(id))
      assert.deepEqual(ids, Array.from({ length: 300 }, (_, number) => number))
    }
  })

  test('that idles is not cut off, however long', async t => {
    const { sse, slow, fast } = await two(t, { age: 50 })
    sse.broadcast('a word')
    await fast.answer.until('a word')
    const begun = performance.now()
    await eventually(() => performance.now() - begun > 300, 'time to pass')
    assert.ok(sse.clients.has(slow) && sse.clients.has(fast.client))
  })

  test('is closed by close() once it has read, and is then answered again', async t => {
    const { sse, slow, stalled } = await two(t)
    for (let count = 0; count < 100; count++) slow.send(LARGE)
    slow.close()
    stalled.socket.resume()
    await stalled.until('0\r\n\r\n')
    assert.equal(stalled.text.match(/data: x/g).length, 100)
    assert.equal(await slow.closed, 'closed')
    assert.ok(!sse.clients.has(slow))
  })
})

suite('a client that reads', { concurrency: true, ...oursOnly }, () => {
  for (const kind of ['http', 'https', 'http2 over TLS', 'http2 in clear']) {
    test(`slowly, but steadily, is not cut off in the midst of a large event, on ${kind}`, async t => {
      const { join } = await streams(t, { kind, options: { maxBacklog: { age: 500 } } })
      const { client, answer } = await join()
      readSlowly(t, answer.body)
      client.send('x'.repeat(24_000_000))
      client.close()
      await answer.untilEnd()
      assert.equal(answer.text.length, ':ok\n\ndata: \n\n'.length + 24_000_000)
      assert.equal(await client.closed, 'closed')
    })
  }

  test('is not cut off where a wrapped res.write forgets to tell', async t => {
    const { sse, server, ask } = await streams(t, { options: { path: '/never', maxBacklog: { age: 60 } } })
    server.removeAllListeners('request')
    server.on('request', (request, response) => {
      const { write } = response
      response.write = chunk => write.call(response, chunk)
      sse.handleRequest(request, response)
    })
    const answer = await ask('/sse')
    const [client] = sse.clients
    const timer = setInterval(() => client.send('tick'), 10)
    t.after(() => clearInterval(timer))
    await answer.until(/(data: tick\n\n){40}/)
    assert.ok(sse.clients.has(client))
  })
})

/** Takes 200 kB each 25 ms. */
function readSlowly(t, body) {
  let left = 0
  body.on('data', text => (left -= text.length) < 0 && body.pause())
  const timer = setInterval(() => {
    left = 200_000
    body.resume()
  }, 25)
  t.after(() => clearInterval(timer))
}

async function sendUntil(sse, client) {
  let [sent, hasLeft] = [0, false]
  client.on('close', () => (hasLeft = true))
  while (!hasLeft && sent < 1000) {
    sse.broadcast(LARGE)
    sent++
    await new Promise(setImmediate)
  }
  return sent
}
