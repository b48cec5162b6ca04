// A fanfare hub, published to and followed.

import assert from 'node:assert/strict'
import http from 'node:http'
import { suite, test } from 'node:test'

import { serve } from '../../../tests/browser/example.mjs'
import { proxy } from '../../../tests/browser/proxy.mjs'
import { listen } from '../support/hosts.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

async function withHub(t, ...args) {
  const server = await serve(t, ...args)
  const made = await streams(t)
  t.after(() => made.sse.close?.())
  return { ...made, url: server.url, hubServer: server, hub: made.sse.hub(server.url) }
}

/** What answers as `listener` does, in the place of a hub. */
async function standIn(t, listener) {
  const server = http.createServer(listener)
  await listen(t, server)
  return `http://127.0.0.1:${server.address().port}`
}

/** The next `count` events. */
async function take(events, count) {
  const taken = []
  while (taken.length < count) taken.push((await events.next()).value)
  return taken
}

suite('a hub', { concurrency: true, ...oursOnly }, () => {
  test('is published to, and followed from the beginning', async t => {
    const { hub } = await withHub(t)
    const ids = []
    for (const event of ['one', { event: 'named', data: 'two\nlines' }, { data: { three: 3 } }]) {
      ids.push((await hub.publish('news', event)).id)
    }
    const events = await take(hub.follow('news', { from: 'earliest' }), 3)
    assert.deepEqual(events.map(({ event, data, id }) => [event ?? 'message', data, id]), [
      ['message', 'one', ids[0]],
      ['named', 'two\nlines', ids[1]],
      ['message', '{"three":3}', ids[2]],
    ])
  })

  test('is followed behind an event, and for the newest', async t => {
    const { hub } = await withHub(t)
    const ids = []
    for (const data of ['0', '1', '2', '3']) ids.push((await hub.publish('news', data)).id)
    const behind = await take(hub.follow('news', { lastEventId: ids[1] }), 2)
    assert.deepEqual(behind.map(({ data }) => data), ['2', '3'])
    const [newest] = await take(hub.follow('news', { last: 1 }), 1)
    assert.equal(newest.data, '3')
  })

  test('gives several topics', async t => {
    const { hub } = await withHub(t)
    for (const topic of ['a', 'b', 'c']) await hub.publish(topic, `of ${topic}`)
    const events = await take(hub.follow(['a', 'c'], { from: 'earliest' }), 2)
    assert.deepEqual(events.map(({ data }) => data), ['of a', 'of c'])
  })

  test('feeds a client', async t => {
    const { hub, join } = await withHub(t)
    await hub.publish('news', 'from the hub')
    const { client, answer } = await join()
    const piped = client.pipe(hub.follow('news', { from: 'earliest' }))
    await answer.until('data: from the hub\n\n')
    await hub.publish('news', 'more')
    await answer.until('data: more\n\n')
    answer.abort()
    await piped
  })

  test('feeds all clients', async t => {
    const { hub, sse, join } = await withHub(t)
    const members = [await join(), await join()]
    const fed = (async () => {
      for await (const event of hub.follow('news', { from: 'earliest' })) sse.broadcast(event)
    })()
    await hub.publish('news', 'to all')
    for (const { answer } of members) await answer.until('data: to all\n\n')
    await sse.close()
    await fed
  })

  test('ends a topic, and with it who follows', async t => {
    const { hub } = await withHub(t)
    await hub.publish('news', 'one')
    await hub.publish('news', 'last', { end: true })
    const data = []
    for await (const event of hub.follow('news', { from: 'earliest' })) data.push(event.data)
    assert.deepEqual(data.slice(0, 2), ['one', 'last'])
  })

  test('publishes once for one key', async t => {
    const { hub } = await withHub(t)
    const options = { idempotencyKey: 'order-1' }
    const [first, second] = [await hub.publish('news', 'one', options), await hub.publish('news', 'one', options)]
    assert.equal(first.id, second.id)
  })

  test('that refuses says why', async t => {
    const { hub } = await withHub(t)
    await assert.rejects(hub.publish('not/a topic\n', 'x'), { name: 'HubError' })
    await assert.rejects(hub.follow('not a topic\n').next(), { name: 'HubError' })
  })

  test('that refuses a client its topic ends no process', async t => {
    const { hub, sse, join } = await withHub(t)
    const told = new Promise(done => sse.on('error', done))
    const { client, answer } = await join()
    client.pipe(hub.follow('not a topic\n'))
    assert.equal((await told).name, 'HubError')
    client.send('and on')
    await answer.until('and on')
  })

  test('is asked for a place of a client, however long', async t => {
    const { hub } = await withHub(t)
    await hub.publish('news', 'one')
    for (const lastEventId of ['"'.repeat(12_000), '中'.repeat(12_000)]) {
      const [gap] = await take(hub.follow('news', { lastEventId }), 1)
      assert.equal(gap.event, 'gap')
    }
  })

  for (const url of ['localhost:9999', 'ftp://hub.example']) {
    test(`is not at ${url}`, async t => {
      const { sse } = await streams(t)
      assert.throws(() => sse.hub(url), { name: 'TypeError', message: /http/ })
    })
  }

  test('is not asked again with what never works', async t => {
    const { sse } = await streams(t)
    const url = await standIn(t, (request, response) => response.writeHead(503).end())
    const throwing = () => {
      throw new Error('no token')
    }
    await assert.rejects(sse.hub(url, { token: throwing }).follow('news').next(), /no token/)
    await assert.rejects(sse.hub(url, { token: 'a\nb' }).follow('news').next(), TypeError)
  })

  test('tells of each loss, and what is thrown then ends it', async t => {
    const { sse } = await streams(t)
    const answers = [
      response => response.destroy(),
      response => response.writeHead(503).end('{"detail":"busy"}'),
      response => response.end('retry: 1\n\n'),
    ]
    const url = await standIn(t, (request, response) => answers.pop()(response))
    const losses = []
    const onRetry = error => {
      losses.push(error.message)
      if (answers.length === 0) throw error
    }
    await assert.rejects(sse.hub(url).follow('news', { onRetry }).next(), TypeError)
    assert.deepEqual(losses.slice(0, 2), ['the hub has ended the stream', 'busy'])
    assert.equal(losses.length, 3)
  })

  test('that is not there: publishing fails, and a signal ends following', async t => {
    const { sse } = await streams(t)
    const hub = sse.hub('http://127.0.0.1:1')
    await assert.rejects(hub.publish('news', 'x'))
    const stop = new AbortController()
    const following = hub.follow('news', { signal: stop.signal }).next()
    stop.abort()
    await following.catch(error => assert.equal(error.name, 'AbortError'))
  })

  test('is found again when the connection breaks, and nothing is missed', async t => {
    const { hub, hubServer, sse } = await withHub(t)
    const cuttable = await proxy(t, hubServer.port)
    const events = sse.hub(cuttable.url).follow('news', { from: 'earliest' })
    for (let number = 0; number < 3; number++) {
      await hub.publish('news', `${number}, before the cut`)
      assert.equal((await events.next()).value.data, `${number}, before the cut`)
      cuttable.cut()
      await hub.publish('news', `${number}, after the cut`)
      assert.equal((await events.next()).value.data, `${number}, after the cut`)
    }
    await events.return()
  })
})
