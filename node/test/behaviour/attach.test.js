// Which requests become streams, and what becomes of the others.

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import { suite, test } from 'node:test'

import { listen, host } from '../support/hosts.js'
import { get, raw } from '../support/raw.js'
import { streams } from '../support/streams.js'
import { SSE, oursOnly } from '../support/subject.js'

const STREAM = 'text/event-stream'

suite('the path', { concurrency: true }, () => {
  const cases = [
    [undefined, ['/sse', '/sse?a=1', '/sse#part', '//sse', '///sse?a=1'], ['/', '/sse/', '/sse/more', '/ssel', '/SSE', '/a/sse', '/s%73e']],
    ['/something', ['/something', '//something'], ['/sse', '/something/else']],
    ['/sse/*', ['/sse/', '/sse/one', '/sse/one/two'], ['/sse', '/else/sse/one']],
    ['/*/events', ['/one/events', '/one/two/events'], ['/events', '//events', '/one/events/more']],
    ['/*', ['/', '/anything', '/any/thing'], []],
    ['/a.b+(c)', ['/a.b+(c)'], ['/axb+(c)', '/a.bb(c)', '/a.b+c']],
  ]
  for (const [path, matching, others] of cases) {
    test(`${path ?? 'by default'}`, async t => {
      const { ask } = await streams(t, { options: path && { path } })
      for (const target of matching) assert.equal((await ask(target)).headers['content-type'], STREAM, target)
      for (const target of others) assert.equal(await (await ask(target)).untilEnd(), 'okay', target)
    })
  }

  test('of an address in full', async t => {
    const { port } = await streams(t)
    const stream = await raw(t, port, get('http://localhost/sse'))
    await stream.until(':ok\n\n')
  })

  test('with any method', async t => {
    const { port } = await streams(t)
    for (const method of ['POST', 'PUT', 'OPTIONS']) {
      const stream = await raw(t, port, get('/sse').replace('GET', method))
      await stream.until(':ok\n\n')
    }
  })
})

suite('the query', { concurrency: true }, () => {
  for (const [target, expected] of [
    ['/sse', {}],
    ['/sse?', {}],
    ['/sse?a=1&b=2', { a: '1', b: '2' }],
    ['/sse?a=1&a=2', { a: ['1', '2'] }],
    ['/sse?a=%C3%BC+x&b', { a: 'ü x', b: '' }],
  ]) {
    test(target, async t => {
      const { join } = await streams(t)
      const { query } = await join(target)
      assert.deepEqual({ ...query }, expected)
    })
  }
})

suite('verifyRequest', { concurrency: true }, () => {
  test('decides by the request', async t => {
    const asked = []
    const verifyRequest = request => {
      asked.push(request.url)
      return request.headers.cookie === 'let=me-in'
    }
    const { ask } = await streams(t, { options: { verifyRequest } })
    assert.equal(await (await ask('/sse?no')).untilEnd(), 'okay')
    assert.equal((await ask('/sse?yes', { cookie: 'let=me-in' })).headers['content-type'], STREAM)
    await (await ask('/else')).untilEnd()
    assert.deepEqual(asked, ['/sse?no', '/sse?yes'])
  })

  test('may give anything that is true', async t => {
    const { ask } = await streams(t, { options: { verifyRequest: () => 'yes' } })
    assert.equal((await ask('/sse')).headers['content-type'], STREAM)
  })

  test('may answer later', oursOnly, async t => {
    const verifyRequest = async request => (await new Promise(setImmediate), request.url === '/sse?yes')
    const { ask } = await streams(t, { options: { verifyRequest } })
    assert.equal(await (await ask('/sse?no')).untilEnd(), 'okay')
    assert.equal((await ask('/sse?yes')).headers['content-type'], STREAM)
  })

  test('that fails is answered 500, and told to who listens', oursOnly, async t => {
    const fault = new Error('on purpose')
    const { sse, ask } = await streams(t, { options: { verifyRequest: async () => Promise.reject(fault) } })
    assert.equal((await ask('/sse')).status, 500)
    const told = once(sse, 'error').catch(error => [error])
    assert.equal((await ask('/sse')).status, 500)
    assert.deepEqual(await told, [fault])
  })

  test('may answer when the client has left', oursOnly, async t => {
    let allow
    const verifyRequest = () => new Promise(done => (allow = done))
    const { sse, server, port } = await streams(t, { options: { verifyRequest } })
    const asked = once(server, 'request')
    const stream = await raw(t, port)
    const [, response] = await asked
    const closed = once(response, 'close')
    stream.socket.destroy()
    await closed
    allow(true)
    await new Promise(setImmediate)
    assert.equal(sse.clients.size, 0)
  })

  test('that answers later has listeners throw as ever', oursOnly, async t => {
    const { sse, ask } = await streams(t, { options: { verifyRequest: async () => true } })
    const fault = new Error('on purpose')
    sse.on('connection', () => {
      throw fault
    })
    // Those of the test runner would take it for a failure.
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const thrown = once(process, 'uncaughtException')
    thrown.finally(() => others.forEach(listener => process.on('uncaughtException', listener)))
    await ask('/sse')
    assert.deepEqual(await thrown, [fault, 'uncaughtException'])
  })

  test('is no matter where it is null', async t => {
    const { ask } = await streams(t, { options: { path: '/sse', verifyRequest: null } })
    assert.equal((await ask('/sse')).headers['content-type'], STREAM)
  })
})

suite('listeners of the server', { concurrency: true }, () => {
  test('are called as before: all, in order, with the server as `this`', async t => {
    const server = http.createServer()
    const calls = []
    server.on('request', function () {
      calls.push(['first', this === server])
    })
    server.on('request', function (request, response) {
      calls.push(['second', this === server])
      response.end('by hand')
    })
    new SSE(server)
    await listen(t, server)
    const { port } = server.address()
    const answer = await raw(t, port, get('/else', { headers: { Connection: 'close' } }))
    assert.match(await answer.untilEnd(), /by hand/)
    assert.deepEqual(calls, [['first', true], ['second', true]])
  })

  test('that are added later see streams too', async t => {
    const { server, join } = await streams(t)
    const seen = once(server, 'request')
    await join('/sse?seen')
    const [request] = await seen
    assert.equal(request.url, '/sse?seen')
  })

  test('of other events are let be', async t => {
    const { server, port } = await host(t)
    server.on('upgrade', (request, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nupgraded'))
    new SSE(server)
    const answer = await raw(t, port, get('/sse', { headers: { Connection: 'Upgrade', Upgrade: 'other' } }))
    assert.match(await answer.untilEnd(), /upgraded$/)
  })

  test('may be another SSE with another path', async t => {
    const { server, ask } = await host(t)
    const [one, other] = ['/one', '/other'].map(path => new SSE(server, { path }))
    for (const [sse, text] of [[one, 'first'], [other, 'second']]) sse.on('connection', client => client.send(text))
    await (await ask('/one')).until('data: first\n\n')
    await (await ask('/other')).until('data: second\n\n')
    assert.equal(await (await ask('/third')).untilEnd(), 'okay')
  })
})

suite('the object', { concurrency: true }, () => {
  test('is an emitter that knows its server', async t => {
    const { server } = await host(t)
    const sse = new SSE(server)
    assert.ok(sse instanceof SSE && sse instanceof EventEmitter)
    assert.equal(sse.server, server)
  })

  test('can be attached when the server listens already', async t => {
    const { server, ask } = await host(t)
    assert.equal(await (await ask('/sse')).untilEnd(), 'okay')
    new SSE(server)
    assert.equal((await ask('/sse')).headers['content-type'], STREAM)
  })

  test('needs no `new`', oursOnly, async t => {
    const { server, ask } = await host(t)
    const sse = SSE(server, { path: '/events' })
    assert.ok(sse instanceof SSE)
    assert.equal((await ask('/events')).headers['content-type'], STREAM)
  })

  test('can be inherited from', async t => {
    class Mine extends SSE {
      matchesPath(path) {
        return path.startsWith('/mine')
      }
    }
    const { server, ask } = await host(t)
    new Mine(server)
    assert.equal((await ask('/mine/own')).headers['content-type'], STREAM)
    assert.equal(await (await ask('/sse')).untilEnd(), 'okay')
  })

  test('takes a request that a program hands to it', async t => {
    const { server, ask } = await host(t)
    const sse = new SSE(server, { path: '/never' })
    sse.on('connection', (client, query) => client.send(query.who))
    server.removeAllListeners('request')
    server.on('request', (request, response) => sse.handleRequest(request, response, 'who=me'))
    await (await ask('/any')).until('data: me\n\n')
  })

  test('has the class of its clients, which can be used alone', async t => {
    const server = http.createServer((request, response) => {
      const client = new SSE.Client(request, response)
      client.initialize()
      client.send('alone')
    })
    await listen(t, server)
    const stream = await raw(t, server.address().port)
    await stream.until('data: alone\n\n')
  })

  test('gives clients of that class, with request and response', async t => {
    const { join } = await streams(t)
    const { client } = await join('/sse?x')
    assert.ok(client instanceof SSE.Client && client instanceof EventEmitter)
    assert.equal(client.req.url, '/sse?x')
    assert.ok(client.res instanceof http.ServerResponse)
    assert.equal(client.res.headersSent, true)
  })
})
