// How the examples begin and end, without a browser.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import { suite, test } from 'node:test'

import { run, start } from './example.mjs'

const STREAMS = 100
const GRACE_MS = 5000
const PATHS = {
  basic: '/sse',
  serverstats: '/sse',
  chat: '/rooms/lobby/events?name=Ada',
  llm: '/answers/1?question=why',
  hyper: '/sse',
  cors: '/sse',
  hub: '/sse/news',
}

/** A connection that sends `request`, and reads nothing. */
async function socket(t, port, request) {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(request)
  return socket
}

async function ended(example, signal) {
  const begun = performance.now()
  const { status, signal: killer } = await example.stop(signal)
  const took = performance.now() - begun
  assert.deepEqual({ status, killer }, { status: 0, killer: null })
  assert.equal(example.errors, '')
  return took
}

suite('with a hundred open streams SIGINT ends', { concurrency: true }, () => {
  for (const [name, path] of Object.entries(PATHS)) {
    test(name, async t => {
      const example = await start(t, name)
      const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
      // The first does not even end its request, and a third never reads.
      await socket(t, example.port, request.slice(0, -4))
      for (let index = 1; index < STREAMS; index++) {
        const stream = await socket(t, example.port, request)
        if (index % 3 === 0) continue
        const [head] = await once(stream, 'data')
        assert.match(`${head}`, /^HTTP\/1.1 200 OK\r\n/)
      }
      assert.ok((await ended(example, 'SIGINT')) < GRACE_MS + 1500)
    })
  }

  test('http2', async t => {
    const example = await start(t, 'http2')
    for (let session = 0; session < 4; session++) {
      const client = connectHttp2(example.url, { rejectUnauthorized: false })
      t.after(() => client.destroy())
      client.on('error', () => {})
      for (let index = 0; index < STREAMS / 4; index++) {
        const stream = client.request({ ':path': '/sse' })
        stream.on('error', () => {})
        const [headers] = await once(stream, 'response')
        assert.equal(headers[constants.HTTP2_HEADER_STATUS], 200)
        if (index % 3 !== 0) stream.resume()
      }
    }
    assert.ok((await ended(example, 'SIGINT')) < GRACE_MS + 1500)
  })
})

suite('with open streams that are read it ends at once', { concurrency: true }, () => {
  for (const [name, path] of Object.entries(PATHS)) {
    for (const signal of ['SIGINT', 'SIGTERM']) {
      test(`${name} on ${signal}`, async t => {
        const example = await start(t, name)
        const stream = await socket(t, example.port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
        await once(stream, 'data')
        stream.resume()
        assert.ok((await ended(example, signal)) < GRACE_MS / 2)
      })
    }
  }
})

suite('a program that cannot run says why', { concurrency: true }, () => {
  for (const name of [...Object.keys(PATHS), 'http2']) {
    test(`${name}: the port is no number`, async () => {
      const { status, errors } = await run(name, { PORT: 'http' })
      assert.equal(status, 1)
      assert.equal(errors, 'Error: PORT must be a number up to 65535, not "http"\n')
    })

    test(`${name}: the port is taken`, async t => {
      const { port } = await start(t, 'basic')
      const { status, errors } = await run(name, { PORT: `${port}` })
      assert.equal(status, 1)
      const why = `Error: cannot listen on 127.0.0.1:${port}: Address already in use .*; PORT sets another port\n`
      assert.match(errors, new RegExp(`^${why}$`))
    })

    test(`${name}: the port is no text`, async () => {
      const { status, errors } = await run(name, {}, "PORT=$(printf '80\\377'); export PORT")
      assert.equal(status, 1)
      assert.equal(errors, 'Error: PORT must be a number up to 65535, not "80\ufffd"\n')
    })
  }

  test('chat: the file cannot be used', async () => {
    const { status, errors } = await run('chat', { PORT: '0', CHAT_FILE: '/' })
    assert.equal(status, 1)
    assert.match(errors, /^Error: cannot use CHAT_FILE=\/: Is a directory/)
  })

  test('chat: the file has no name', async () => {
    const { status, errors } = await run('chat', { PORT: '0', CHAT_FILE: '' })
    assert.equal(status, 1)
    assert.equal(errors, 'Error: cannot use CHAT_FILE=: it names no file\n')
  })

  for (const origin of ['', '*', 'null', 'a\nb', 'example.com', 'https://example.com/', 'https://example.com/page']) {
    const shown = JSON.stringify(origin)
    test(`cors: ${shown} is no origin`, async () => {
      const { status, errors } = await run('cors', { PORT: '0', ORIGIN: origin })
      assert.equal(status, 1)
      assert.equal(errors, `Error: ORIGIN must be like https://example.com, not ${shown}\n`)
    })
  }
})
