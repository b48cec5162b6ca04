// One event to all.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { hosts } from '../support/hosts.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

async function joined(t, count, details) {
  const made = await streams(t, details)
  const members = []
  while (members.length < count) members.push(await made.join(`/sse?${members.length}`))
  return { ...made, members }
}

suite('broadcast', { concurrency: true, ...oursOnly }, () => {
  test('gives each client the event, and tells to how many', async t => {
    const { sse, members } = await joined(t, 3)
    assert.equal(sse.broadcast('to all'), 3)
    assert.equal(sse.broadcast({ event: 'named', data: 'two\nlines', id: 5 }), 3)
    for (const { answer } of members) {
      assert.equal(
        await answer.until('lines\n\n'),
        ':ok\n\ndata: to all\n\nevent: named\nid: 5\ndata: two\ndata: lines\n\n',
      )
    }
  })

  test('takes one event, and no name before it', async t => {
    const { sse, members: [{ client, answer }] } = await joined(t, 1)
    const channel = sse.channel()
    channel.join(client)
    for (const to of [sse, channel]) {
      assert.throws(() => to.broadcast('tick', 'data'), { name: 'TypeError', message: /broadcast takes one event/ })
      assert.throws(() => to.broadcast({ at: 1 }), TypeError)
    }
    sse.broadcast('end')
    assert.doesNotMatch(await answer.until('end'), /tick/)
  })

  test('to nobody', async t => {
    const { sse } = await streams(t)
    assert.equal(sse.broadcast('nobody'), 0)
  })

  test('to those that a filter chooses', async t => {
    const { sse, members } = await joined(t, 4)
    const isEven = client => Number(client.req.url.slice(-1)) % 2 === 0
    assert.equal(sse.broadcast('even', { filter: isEven }), 2)
    sse.broadcast('all')
    for (const [index, { answer }] of members.entries()) {
      const expected = index % 2 ? 'data: all\n\n' : 'data: even\n\ndata: all\n\n'
      assert.equal(await answer.until('data: all\n\n'), `:ok\n\n${expected}`)
    }
  })

  test('keeps its place among what is sent', async t => {
    const { sse, members } = await joined(t, 2)
    const expected = []
    for (let turn = 0; turn < 100; turn++) {
      for (const { client } of members) client.send(`send ${turn}`)
      sse.broadcast(`broadcast ${turn}`)
      for (const { client } of members) client.res.write(`: write ${turn}\n\n`)
      expected.push(`data: send ${turn}\n\ndata: broadcast ${turn}\n\n: write ${turn}\n\n`)
    }
    for (const { answer } of members) {
      assert.equal(await answer.until(': write 99\n\n'), `:ok\n\n${expected.join('')}`)
    }
  })

  test('leaves out who has left or was closed', async t => {
    const { sse, members } = await joined(t, 3)
    const [one, two, three] = members
    one.client.close()
    two.answer.abort()
    await eventually(() => sse.clients.size === 1)
    assert.equal(sse.broadcast('who is there?'), 1)
    await three.answer.until('who is there?')
    assert.equal(await one.answer.untilEnd(), ':ok\n\n')
  })

  test('reaches a client from its own listener of connection on', async t => {
    const made = await streams(t, { onConnection: () => made.sse.broadcast('somebody came') })
    const { answer } = await made.join()
    await answer.until('data: somebody came\n\n')
  })

  test('throws before anything is written where send does', async t => {
    const { sse, members } = await joined(t, 1)
    assert.throws(() => sse.broadcast({ event: 'a\nb', data: 'd' }), TypeError)
    sse.broadcast('after')
    assert.equal(await members[0].answer.until('after\n\n'), ':ok\n\ndata: after\n\n')
  })

  test('does not stop at a filter that throws: the program is told', async t => {
    const { sse, members } = await joined(t, 2)
    const fault = new Error('on purpose')
    const filter = () => {
      throw fault
    }
    assert.throws(() => sse.broadcast('never', { filter }), fault)
    sse.broadcast('after')
    for (const { answer } of members) assert.equal(await answer.until('after\n\n'), ':ok\n\ndata: after\n\n')
  })

  for (const kind of Object.keys(hosts)) {
    test(`on ${kind}`, async t => {
      const { sse, members } = await joined(t, 3, { kind })
      assert.equal(sse.broadcast({ event: 'ünï', data: 'cödé' }), 3)
      for (const { answer } of members) await answer.until('event: ünï\ndata: cödé\n\n')
    })
  }
})

suite('clients', { concurrency: true, ...oursOnly }, () => {
  test('are those whose streams are open, in the order in which they came', async t => {
    const { sse, members } = await joined(t, 3)
    assert.deepEqual([...sse.clients], members.map(({ client }) => client))
    members[1].answer.abort()
    await eventually(() => sse.clients.size === 2)
    assert.deepEqual([...sse.clients], [members[0].client, members[2].client])
  })
})
