// Channels: groups of clients with a history, in which they resume.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { hosts } from '../support/hosts.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

/** A server on which each client joins the channels that its query names. */
async function channels(t, { kind, options, also } = {}) {
  const made = await streams(t, {
    kind,
    onConnection(client, { in: names = 'news' }) {
      client.join(...[names].flat().map(name => made.sse.channel(name)))
    },
  })
  for (const name of also ?? ['news']) made.sse.channel(name, options)
  const channel = name => made.sse.channel(name)
  const resume = (id, path = '/sse') => made.join(path, { 'Last-Event-ID': id })
  return { ...made, channel, resume, news: made.sse.channel('news') }
}

function event(id, data) {
  return `id: ${id}\ndata: ${data}\n\n`
}

suite('a channel', { concurrency: true, ...oursOnly }, () => {
  test('gives its events to who is in it, with ids', async t => {
    const { news, join, sse } = await channels(t)
    const [one, two] = [await join(), await join()]
    const outsider = await join('/sse?in=sports')
    assert.equal(news.size, 2)
    const ids = ['first', 'second'].map(data => news.broadcast(data))
    assert.notEqual(ids[0], ids[1])
    for (const { answer } of [one, two]) {
      await answer.until('second')
      assert.ok(answer.text.endsWith(`${event(ids[0], 'first')}${event(ids[1], 'second')}`), answer.text)
    }
    sse.broadcast('end')
    assert.ok((await outsider.answer.until('end')).startsWith(':ok\n\n'))
    assert.doesNotMatch(outsider.answer.text, /first|second/)
  })

  test('has ids of one epoch that count', async t => {
    const { news, channel } = await channels(t)
    const ids = [news.broadcast('a'), channel('sports').broadcast('b'), news.broadcast('c')]
    const [epochs, positions] = [0, 1].map(part => ids.map(id => id.split('-')[part]))
    assert.deepEqual(new Set(epochs).size, 1)
    assert.deepEqual(positions.map(Number), positions.map(Number).toSorted((one, other) => one - other))
    assert.equal(new Set(positions).size, 3)
  })

  test('is one for each name', async t => {
    const { sse } = await streams(t)
    assert.equal(sse.channel('a'), sse.channel('a'))
    assert.notEqual(sse.channel('a'), sse.channel('b'))
    assert.notEqual(sse.channel(), sse.channel())
    assert.equal(sse.channel('a').name, 'a')
    assert.equal(sse.channel().name, undefined)
  })

  test('that was joined twice gives each event once', async t => {
    const { news, join } = await channels(t)
    const { client, answer } = await join()
    news.join(client)
    assert.equal(news.size, 1)
    news.broadcast('once')
    news.broadcast('end')
    assert.equal((await answer.until('end')).match(/once/g).length, 1)
  })

  test('gives no more to who has left it', async t => {
    const { news, join } = await channels(t)
    const { client, answer } = await join()
    news.broadcast('before')
    news.leave(client)
    assert.equal(news.size, 0)
    news.broadcast('not this')
    client.send('end')
    assert.doesNotMatch(await answer.until('end'), /not this/)
  })

  test('forgets who has gone', async t => {
    const { news, join } = await channels(t)
    const { client, answer } = await join()
    answer.abort()
    await client.closed
    assert.equal(news.size, 0)
  })

  test('keeps order with what is sent besides', async t => {
    const { news, join, sse } = await channels(t)
    const { client, answer } = await join()
    for (let turn = 0; turn < 50; turn++) {
      client.send(`${turn} send`)
      news.broadcast(`${turn} channel`)
      sse.broadcast(`${turn} all`)
    }
    const order = [...(await answer.until('49 all')).matchAll(/data: (.*)/g)].map(([, data]) => data)
    assert.deepEqual(order, Array.from({ length: 50 }, (_, turn) => ['send', 'channel', 'all'].map(kind => `${turn} ${kind}`)).flat())
  })

  test('that is closed ends the streams of who is in no other', async t => {
    const { channel, news, join } = await channels(t)
    const [only, both] = [await join(), await join('/sse?in=news&in=sports')]
    news.broadcast('last')
    news.close()
    assert.match(await only.answer.untilEnd(), /last/)
    channel('sports').broadcast('still there')
    await both.answer.until('still there')
    assert.throws(() => news.broadcast('late'), Error)
  })
})

suite('who resumes', { concurrency: true, ...oursOnly }, () => {
  for (const kind of Object.keys(hosts)) {
    test(`is given what was missed, on ${kind}`, async t => {
      const { news, join, resume } = await channels(t, { kind })
      const first = await join()
      const ids = ['1', '2', '3'].map(data => news.broadcast(data))
      await first.answer.until('data: 3\n\n')
      first.answer.abort()
      ids.push(news.broadcast('4'))
      const { answer } = await resume(ids[1])
      ids.push(news.broadcast('5'))
      const text = await answer.until('data: 5\n\n')
      assert.equal(text.slice(text.indexOf('id:')), [2, 3, 4].map(at => event(ids[at], at + 1)).join(''))
    })
  }

  test('behind the newest event is given what comes', async t => {
    const { news, resume } = await channels(t)
    news.broadcast('old')
    const { answer } = await resume(news.broadcast('newest'))
    news.broadcast('next')
    assert.doesNotMatch(await answer.until('next'), /old|newest|gap/)
  })

  test('by the query', async t => {
    const { news, join } = await channels(t)
    const id = news.broadcast('seen')
    news.broadcast('missed')
    const { answer } = await join(`/sse?lastEventId=${id}`)
    assert.doesNotMatch(await answer.until('missed'), /seen|gap/)
  })

  test('in several channels is given all in their order', async t => {
    const { channel, resume } = await channels(t)
    const from = channel('news').broadcast('seen')
    const expected = []
    for (let number = 0; number < 20; number++) {
      const name = ['news', 'sports', 'weather'][number % 3]
      channel(name).broadcast(`${name} ${number}`)
      if (name !== 'weather') expected.push(`${name} ${number}`)
    }
    const { answer } = await resume(from, '/sse?in=news&in=sports')
    const text = await answer.until('sports 19')
    assert.deepEqual([...text.matchAll(/data: (.*)/g)].map(([, data]) => data), expected)
  })

  test('from what is no longer kept is told so', async t => {
    const { news, resume } = await channels(t, { options: { history: 3 } })
    const ids = Array.from({ length: 10 }, (_, index) => news.broadcast(`event ${index}`))
    const { answer } = await resume(ids[2])
    const text = await answer.until('event 9')
    const gap = JSON.parse(/event: gap\n(?:id: .*\n)?data: (.*)\n\n/.exec(text)[1])
    assert.equal(gap.reason, 'expired')
    assert.equal(gap.requested, ids[2])
    assert.deepEqual([...text.matchAll(/data: event (\d)/g)].map(([, number]) => Number(number)), [7, 8, 9])
  })

  test('just within what is kept is not', async t => {
    const { news, resume } = await channels(t, { options: { history: 3 } })
    const ids = Array.from({ length: 10 }, (_, index) => news.broadcast(`event ${index}`))
    const { answer } = await resume(ids[6])
    assert.doesNotMatch(await answer.until('event 9'), /gap|event 6/)
  })

  test('with an id of nobody knows where is told so', async t => {
    const { news, resume } = await channels(t)
    news.broadcast('old')
    for (const id of ['unheard-of', '0-1', `${news.broadcast('x').split('-')[0]}-999999`]) {
      const { answer } = await resume(id)
      const gap = JSON.parse(/event: gap\n(?:id: .*\n)?data: (.*)\n\n/.exec(await answer.until(/event: gap\n.*data: .*\n\n/s))[1])
      assert.equal(gap.reason, 'unknown', id)
      assert.equal(gap.requested, id)
    }
  })

  test('behind an id that the program gave', async t => {
    const { news, resume } = await channels(t)
    assert.equal(news.broadcast({ data: 'one', id: 'mine-1' }), 'mine-1')
    news.broadcast({ data: 'two', id: 'mine-2' })
    const { answer } = await resume('mine-1')
    assert.doesNotMatch(await answer.until('id: mine-2\ndata: two\n\n'), /one|gap/)
  })

  test('is asked again by the filter of what was missed', async t => {
    const { news, resume } = await channels(t)
    const id = news.broadcast('start')
    news.broadcast('for Ada', { filter: client => client.req.url.includes('Ada') })
    news.broadcast('for all')
    const [ada, bob] = [await resume(id, '/sse?name=Ada'), await resume(id, '/sse?name=Bob')]
    assert.match(await ada.answer.until('for all'), /for Ada/)
    assert.doesNotMatch(await bob.answer.until('for all'), /for Ada/)
  })

  test('is not in it if a filter throws, and can join once more', async t => {
    const { sse, ask } = await streams(t)
    const news = sse.channel('news', { replay: 'earliest' })
    news.broadcast('one', { filter: client => client.user.mayRead })
    sse.on('connection', client => {
      assert.throws(() => news.join(client), TypeError)
      assert.equal(news.size, 0)
      client.user = { mayRead: true }
      news.join(client)
    })
    await (await ask('/sse')).until('data: one\n\n')
  })

  test('behind an id that came twice, or looks like one of the channels', async t => {
    const { news, resume } = await channels(t, { options: { history: 4 } })
    const early = news.broadcast('dropped')
    news.broadcast({ data: 'dropped too', id: 'gone' })
    news.broadcast({ data: 'one', id: 'twice' })
    news.broadcast('two')
    news.broadcast({ data: 'three', id: 'twice' })
    news.broadcast({ data: 'four', id: early })
    const all = async id => [...(await (await resume(id)).answer.until('four')).matchAll(/^data: (.*)$/gm)].map(([, data]) => data)
    assert.deepEqual(await all('twice'), ['four'])
    assert.match((await all('gone'))[0], /"unknown"/)
    const { answer } = await resume(early)
    news.broadcast('five')
    assert.doesNotMatch(await answer.until('five'), /four|gap/)
  })

  test('misses nothing between history and what comes', async t => {
    const { news, resume } = await channels(t)
    const first = news.broadcast('0')
    let number = 0
    const timer = setInterval(() => {
      for (let count = 0; count < 20; count++) news.broadcast(`${++number}`)
    })
    t.after(() => clearInterval(timer))
    const members = []
    while (members.length < 20) members.push(await resume(first))
    clearInterval(timer)
    news.broadcast('end')
    const expected = Array.from({ length: number }, (_, index) => `${index + 1}`)
    for (const { answer } of members) {
      const data = [...(await answer.until('data: end')).matchAll(/data: (\d+)/g)].map(([, data]) => data)
      assert.deepEqual(data, expected)
    }
  })
})

suite('what is kept', { concurrency: true, ...oursOnly }, () => {
  test('is given from its beginning to who asks for it', async t => {
    const { news, join } = await channels(t, { options: { replay: 'earliest' } })
    for (const data of ['one', 'two']) news.broadcast(data)
    const { answer } = await join()
    assert.match(await answer.until('two'), /one/)
  })

  test('is not given to who is new, by default', async t => {
    const { news, join } = await channels(t)
    news.broadcast('old')
    const { answer } = await join()
    news.broadcast('new')
    assert.doesNotMatch(await answer.until('new'), /old/)
  })

  test('may be nothing', async t => {
    const { news, resume } = await channels(t, { options: { history: 0 } })
    const ids = [news.broadcast('one'), news.broadcast('two')]
    const [behind, level] = [await resume(ids[0]), await resume(ids[1])]
    await behind.answer.until('event: gap\n')
    news.broadcast('three')
    assert.doesNotMatch(await level.answer.until('three'), /gap|two/)
  })

  test('is bounded in bytes', async t => {
    const { news, join } = await channels(t, { options: { historyBytes: 10_000, replay: 'earliest' } })
    for (let number = 0; number < 100; number++) news.broadcast(`${number} ${'x'.repeat(1000)}`)
    const { answer } = await join()
    await answer.until('data: 99 ')
    const count = answer.text.match(/data: \d/g).length
    assert.ok(count >= 5 && count <= 10, `${count} events of 1,000 bytes in 10,000`)
  })
})
