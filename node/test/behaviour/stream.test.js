// What a stream begins with, how it ends, and what its client is told.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import { suite, test } from 'node:test'

import { dechunked, get, raw } from '../support/raw.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

const NEXT_TURN = () => new Promise(setImmediate)
const LAST_CHUNK = '0\r\n\r\n'

suite('the beginning', { concurrency: true }, () => {
  test('is a head and a comment', async t => {
    const { port } = await streams(t)
    const stream = await raw(t, port)
    const [head, body] = (await stream.until(':ok\n\n\r\n')).split('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/event-stream\r\nCache-Control: no-cache, no-transform\r\nConnection: keep-alive\r\n/)
    assert.match(head, /\r\nTransfer-Encoding: chunked$/m)
    assert.equal(dechunked(body), ':ok\n\n')
  })

  test('comes before any event', async t => {
    const { join } = await streams(t)
    const { answer } = await join()
    assert.equal(await answer.until('\n\n'), ':ok\n\n')
  })

  test('has the headers that a program has set', async t => {
    const verifyRequest = request => (request.response.setHeader('X-Mine', 'yes'), true)
    const { server, ask } = await streams(t, { options: { verifyRequest } })
    server.prependListener('request', (request, response) => (request.response = response))
    assert.equal((await ask('/sse')).headers['x-mine'], 'yes')
  })

  test('for HTTP/1.0 is not chunked', async t => {
    const { port } = await streams(t, {
      onConnection(client) {
        client.send('one')
        client.close()
      },
    })
    const stream = await raw(t, port, get('/sse', { version: '1.0' }))
    const text = await stream.untilEnd()
    assert.match(text, /\r\n\r\n:ok\n\ndata: one\n\n$/)
    assert.doesNotMatch(text, /chunked/i)
  })

  test('for a client that is in no hurry to be told: events wait for no listener', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    await NEXT_TURN()
    client.send('later')
    await answer.until('data: later\n\n')
  })
})

suite('close() by the server', { concurrency: true }, () => {
  test('sends what was sent before, and ends the body', async t => {
    const { port } = await streams(t, {
      onConnection(client) {
        for (let index = 0; index < 100; index++) client.send(`${index}`)
        client.close()
      },
    })
    const stream = await raw(t, port)
    await stream.until(LAST_CHUNK)
    const body = dechunked(stream.text.slice(stream.text.indexOf('\r\n\r\n') + 4))
    assert.equal(body.match(/data: /g).length, 100)
  })

  test('leaves the connection for the next request', async t => {
    const { port } = await streams(t, { onConnection: client => client.close() })
    const stream = await raw(t, port)
    for (let answers = 1; answers <= 6; answers++) {
      await eventually(() => stream.text.split(LAST_CHUNK).length > answers, `answer ${answers}`)
      stream.socket.write(get(answers % 2 ? '/else' : '/sse'))
    }
    assert.equal(stream.text.match(/:ok\n\n/g).length, 3)
    assert.equal(stream.text.match(/okay/g).length, 3)
  })

  test('lets a request that came meanwhile be answered', async t => {
    const { sse, port } = await streams(t)
    const connection = once(sse, 'connection')
    const stream = await raw(t, port, get('/sse') + get('/else'))
    const [client] = await connection
    client.send('first')
    await stream.until('data: first')
    await NEXT_TURN()
    assert.ok(!stream.text.includes('okay'))
    client.close()
    const text = await stream.until('okay')
    assert.ok(text.indexOf(LAST_CHUNK) < text.indexOf('okay'))
  })

  test('tells the client once, also when called twice', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    let closed = 0
    client.on('close', () => closed++)
    client.close()
    client.close()
    await answer.untilEnd()
    await eventually(() => closed > 0, 'close')
    await NEXT_TURN()
    assert.equal(closed, 1)
  })

  test('is noticed by the response', async t => {
    const { join } = await streams(t)
    const { client } = await join()
    const finished = once(client.res, 'finish')
    client.close()
    await finished
    assert.equal(client.res.writableEnded, true)
  })
})

suite('a client that leaves', { concurrency: true }, () => {
  for (const [how, leave] of [
    ['by FIN', socket => socket.end()],
    ['by RST', socket => socket.resetAndDestroy()],
  ]) {
    test(`${how} is told once to client, request and response`, async t => {
      const { sse, port } = await streams(t)
      const connection = once(sse, 'connection')
      const stream = await raw(t, port)
      const [client] = await connection
      await stream.until(':ok')
      const told = []
      for (const [name, emitter] of Object.entries({ client, request: client.req, response: client.res })) {
        emitter.on('close', () => told.push(name))
      }
      client.req.on('error', () => {})
      leave(stream.socket)
      await eventually(() => told.length >= 3, 'three times close')
      await NEXT_TURN()
      assert.deepEqual(told.toSorted(), ['client', 'request', 'response'])
    })
  }

  test('is noticed also where Node does not read', oursOnly, async t => {
    const { sse, port } = await streams(t, { options: { keepAlive: 20 } })
    const connection = once(sse, 'connection')
    const head = 'POST /sse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n'
    const stream = await raw(t, port, head + 'x'.repeat(200_000))
    const [client] = await connection
    await stream.until(':\n\n')
    stream.socket.resetAndDestroy()
    assert.equal(await client.closed, 'gone')
    assert.equal(sse.clients.size, 0)
  })

  test('may be sent to and closed', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const closed = once(client, 'close')
    answer.abort()
    await closed
    client.send('nobody reads this')
    client.close()
    await NEXT_TURN()
  })
})

suite('the end of the socket by the program', { concurrency: true }, () => {
  for (const [how, end] of [
    ['res.destroy()', client => client.res.destroy()],
    ['req.destroy()', client => client.req.destroy()],
    ['socket.destroy()', client => client.req.socket.destroy()],
    ['socket.resetAndDestroy()', client => client.req.socket.resetAndDestroy()],
  ]) {
    test(how, async t => {
      const { join } = await streams(t)
      const { client, answer } = await join()
      const closed = once(client, 'close')
      client.send('before')
      end(client)
      await closed
      await answer.untilEnd()
      client.send('after')
    })
  }

  for (const [how, end] of [
    ['res.destroy()', client => client.res.destroy()],
    ['socket.destroy()', client => client.req.socket.destroy()],
    ['socket.destroySoon()', client => client.req.socket.destroySoon()],
    ['socket.end()', client => client.req.socket.end()],
    ['server.closeAllConnections()', (client, server) => server.closeAllConnections()],
  ]) {
    test(`${how} loses nothing that was sent a turn before`, async t => {
      const { server, join } = await streams(t)
      for (let round = 0; round < 30; round++) {
        const { client, answer } = await join()
        await NEXT_TURN()
        client.send('before')
        await NEXT_TURN()
        end(client, server)
        await answer.until('data: before\n\n')
        answer.abort()
      }
    })
  }

  test('socket.end() is behind all that was sent', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    await answer.until(':ok')
    for (let number = 0; number < 30; number++) client.send(`${number} ${'x'.repeat(100_000)}`)
    client.send('last')
    client.req.socket.end()
    await answer.until('data: last\n\n')
    assert.equal(answer.text.match(/data: \d+ x+\n/g).length, 30)
  })

  test('res.end() is close()', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const closed = once(client, 'close')
    client.send('one')
    client.res.end('data: two\n\n')
    assert.equal(await answer.untilEnd(), ':ok\n\ndata: one\n\ndata: two\n\n')
    await closed
  })
})

suite('what a program writes to the response itself', { concurrency: true }, () => {
  test('keeps its place among the events', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    for (let index = 0; index < 50; index++) {
      client.send(`event ${index}`)
      client.res.write(`: comment ${index}\n\n`)
    }
    client.close()
    const expected = Array.from({ length: 50 }, (_, index) => `data: event ${index}\n\n: comment ${index}\n\n`)
    assert.equal(await answer.untilEnd(), `:ok\n\n${expected.join('')}`)
  })

  test('may be bytes, in any encoding, with a callback', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const written = new Promise(done => client.res.write(Buffer.from(': bytes\n\n'), done))
    client.res.write('3a20c3bc0a0a', 'hex')
    client.res.write(new Uint8Array([0x3a, 0x0a, 0x0a]))
    await written
    await answer.until(': bytes\n\n: ü\n\n:\n\n')
  })
})

suite('what a program writes past res.write()', { concurrency: true }, () => {
  const NOTE = ': note\n\n'
  for (const [how, writeNote] of [
    ['with a method that it has kept', (client, kept) => kept(NOTE)],
    ['with that of the prototype', client => ServerResponse.prototype.write.call(client.res, NOTE)],
    ['to the socket', client => client.req.socket.write(`8\r\n${NOTE}\r\n`)],
  ]) {
    test(`${how} keeps its place among the events`, async t => {
      let kept
      const { join } = await streams(t, { onConnection: client => (kept = client.res.write.bind(client.res)) })
      const { client, answer } = await join()
      await answer.until(':ok')
      const large = 'x'.repeat(8_000_000)
      client.send(large)
      await NEXT_TURN()
      writeNote(client, kept)
      client.send('end')
      client.close()
      assert.ok((await answer.untilEnd()) === `:ok\n\ndata: ${large}\n\n${NOTE}data: end\n\n`)
    })
  }

  test('by a method that it has defined stays its own', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    await answer.until(':ok')
    const value = (...args) => ServerResponse.prototype.write.apply(client.res, args)
    Object.defineProperty(client.res, 'write', { value, configurable: true, writable: true })
    client.send('one')
    client.res.write(NOTE)
    client.close()
    assert.equal(await answer.untilEnd(), `:ok\n\ndata: one\n\n${NOTE}`)
    assert.equal(client.res.write, value)
  })

  test('is refused as Node does if it is no chunk', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    await answer.until(':ok')
    assert.throws(() => client.res.write(42), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => client.res.write(null), { code: 'ERR_STREAM_NULL_VALUES' })
    client.send('on')
    await answer.until('data: on\n\n')
  })
})

suite('after close()', { concurrency: true, ...oursOnly }, () => {
  test('send does nothing', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    client.close()
    client.send('late')
    assert.equal(await answer.untilEnd(), ':ok\n\n')
    client.send('later')
    await NEXT_TURN()
  })
})
