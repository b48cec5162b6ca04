// What a client knows, and what options give each stream.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'

import { hosts } from '../support/hosts.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { oursOnly, subject } from '../support/subject.js'

const KINDS_OF_RUST = ['http', 'Express 5', 'Fastify 5']

suite('lastEventId', { concurrency: true, ...oursOnly }, () => {
  for (const [name, target, headers, expected] of [
    ['there is none', '/sse', {}, undefined],
    ['of the header', '/sse', { 'Last-Event-ID': 'abc' }, 'abc'],
    ['beyond ASCII, as UTF-8', '/sse', { 'Last-Event-ID': Buffer.from('zwölf').toString('latin1') }, 'zwölf'],
    ['of the query', '/sse?lastEventId=abc', {}, 'abc'],
    ['of the query in another spelling', '/sse?last_event_id=abc', {}, 'abc'],
    ['of the query by a polyfill', '/sse?evs_last_event_id=abc', {}, 'abc'],
    ['of the header before that of the query', '/sse?lastEventId=old', { 'Last-Event-ID': 'new' }, 'new'],
    ['empty is none', '/sse?lastEventId=', {}, undefined],
    ['with LF, which no event can have', '/sse?lastEventId=a%0Ab', {}, undefined],
    ['with CR', '/sse?lastEventId=a%0Db', {}, undefined],
    ['with NUL', '/sse?lastEventId=a%00b', {}, undefined],
    ['behind one that no event can have', '/sse?lastEventId=%0A&last_event_id=abc', {}, 'abc'],
  ]) {
    test(name, async t => {
      const { join } = await streams(t)
      const { client } = await join(target, headers)
      assert.equal(client.lastEventId, expected)
    })
  }
})

suite('closed', { concurrency: true, ...oursOnly }, () => {
  for (const kind of Object.keys(hosts)) {
    test(`tells of close() on ${kind}`, async t => {
      const { join } = await streams(t, { kind })
      const { client } = await join()
      client.close()
      assert.equal(await client.closed, 'closed')
    })

    test(`tells that the peer has left on ${kind}`, async t => {
      const { join } = await streams(t, { kind })
      const { client, answer } = await join()
      answer.abort()
      assert.equal(await client.closed, 'gone')
    })
  }

  test('is fulfilled behind the listeners of close', async t => {
    const { join } = await streams(t)
    const { client } = await join()
    const order = []
    client.on('close', () => order.push('close'))
    client.close()
    await client.closed.then(() => order.push('closed'))
    assert.deepEqual(order, ['close', 'closed'])
  })
})

suite('who writes', { concurrency: true, ...oursOnly }, () => {
  for (const kind of Object.keys(hosts)) {
    const isRust = subject === 'addon' && KINDS_OF_RUST.includes(kind)
    test(`${kind}: ${isRust ? 'Rust' : 'JavaScript'}`, async t => {
      const { join } = await streams(t, { kind })
      const { client } = await join()
      assert.equal(client.native, isRust)
    })
  }
})

suite('retry', { concurrency: true, ...oursOnly }, () => {
  test('is told at the start, before any event', async t => {
    const { join } = await streams(t, { options: { retry: 2500 }, onConnection: client => client.send('one') })
    const { answer } = await join()
    assert.equal(await answer.until('data: one\n\n'), ':ok\n\nretry: 2500\n\ndata: one\n\n')
  })

  test('of zero is told', async t => {
    const { join } = await streams(t, { options: { retry: 0 } })
    const { answer } = await join()
    await answer.until('retry: 0\n\n')
  })
})

suite('keepAlive', { concurrency: true, ...oursOnly }, () => {
  for (const kind of Object.keys(hosts)) {
    test(`sends comments in silence on ${kind}`, async t => {
      const { join } = await streams(t, { kind, options: { keepAlive: 40 } })
      const { answer } = await join()
      await answer.until(/^:ok\n\n(:[^\n]*\n\n){3}/)
    })
  }

  test('sends none while there are events', async t => {
    const { join } = await streams(t, { options: { keepAlive: 10_000 } })
    const { client, answer } = await join()
    for (let index = 0; index < 10; index++) client.send(`${index}`)
    assert.match(await answer.until('data: 9\n\n'), /^:ok\n\n(data: \d\n\n){10}$/)
  })

  test('counts from the last event', async t => {
    const { join } = await streams(t, { options: { keepAlive: 150 } })
    const { client, answer } = await join()
    const begun = performance.now()
    const timer = setInterval(() => client.send('busy'), 20)
    t.after(() => clearInterval(timer))
    await eventually(() => performance.now() - begun > 600, 'time to pass')
    clearInterval(timer)
    assert.match(answer.text, /^:ok\n\n(data: busy\n\n)+$/)
    await answer.until(/busy\n\n:/)
  })

  test('none are sent by default', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const begun = performance.now()
    await eventually(() => performance.now() - begun > 200, 'time to pass')
    client.send('end')
    assert.equal(await answer.until('end\n\n'), ':ok\n\ndata: end\n\n')
  })

  test('a client that has gone is sent none', async t => {
    const { join } = await streams(t, { options: { keepAlive: 20 } })
    const { client, answer } = await join()
    await answer.until(/:ok\n\n:/)
    const closed = once(client, 'close')
    answer.abort()
    await closed
  })
})

suite('options that make no sense throw', { concurrency: true, ...oursOnly }, () => {
  for (const options of [
    { keepAlive: -1 },
    { keepAlive: 'often' },
    { retry: -1 },
    { retry: 1.5 },
    { maxBacklog: { bytes: -1 } },
    { maxBacklog: { age: 'old' } },
    { maxBacklog: { policy: 'drop' } },
  ]) {
    test(JSON.stringify(options), async t => {
      const { server } = await streams(t)
      const { SSE } = await import('../support/subject.js')
      assert.throws(() => new SSE(server, options), /keepAlive|retry|maxBacklog/)
    })
  }
})
