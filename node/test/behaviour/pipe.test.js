// Iterables and readable streams that are piped to a client.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { suite, test } from 'node:test'

import { hosts } from '../support/hosts.js'
import { eventually } from '../support/received.js'
import { streams } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

async function* counting(to = Infinity) {
  for (let number = 0; number < to; number++) {
    await new Promise(setImmediate)
    yield `${number}`
  }
}

suite('pipe', { concurrency: true, ...oursOnly }, () => {
  for (const [name, source] of [
    ['an array', ['0', '1', '2']],
    ['an asynchronous generator', counting(3)],
    ['a Readable of texts', Readable.from(['0', '1', '2'])],
    ['events', [{ data: '0' }, { data: 1 }, 2]],
  ]) {
    test(`sends ${name}, each as an event`, async t => {
      const { join } = await streams(t)
      const { client, answer } = await join()
      await client.pipe(source)
      client.send('and on')
      assert.equal(await answer.until('and on\n\n'), ':ok\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\ndata: and on\n\n')
    })
  }

  for (const kind of Object.keys(hosts)) {
    test(`ends the stream where that is wanted, on ${kind}`, async t => {
      const { join } = await streams(t, { kind })
      const { client, answer } = await join()
      await client.pipe(counting(3), { end: true })
      assert.equal(await answer.untilEnd(), ':ok\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\n')
    })

    test(`ends the source when the client leaves, on ${kind}`, async t => {
      const { join } = await streams(t, { kind })
      const { client, answer } = await join()
      let hasEnded = false
      async function* source() {
        try {
          yield* counting()
        } finally {
          hasEnded = true
        }
      }
      const piped = client.pipe(source())
      await answer.until('data: 3\n\n')
      answer.abort()
      await piped
      await eventually(() => hasEnded, 'the source to end')
    })
  }

  test('ends a source that gives nothing when the client leaves', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const source = new PassThrough({ objectMode: true })
    const piped = client.pipe(source)
    source.write('one')
    await answer.until('one')
    answer.abort()
    await piped
    await eventually(() => source.destroyed, 'the source to end')
  })

  test('is rejected if the source fails, behind what came before', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    async function* failing() {
      yield 'before'
      throw new Error('on purpose')
    }
    await assert.rejects(client.pipe(failing()), /on purpose/)
    client.send('and on')
    await answer.until('data: before\n\ndata: and on\n\n')
  })

  test('takes bytes as UTF-8 that may be cut anywhere', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const bytes = Buffer.from('zwölf 🎉 十二')
    await client.pipe(Readable.from(Array.from(bytes, byte => Buffer.from([byte])), { objectMode: false }))
    client.send('end')
    const text = [...(await answer.until('end\n\n')).matchAll(/data: (.*)\n/g)].map(([, data]) => data)
    assert.equal(text.slice(0, -1).join(''), 'zwölf 🎉 十二')
  })

  test('sends nothing for bytes in which no character ends, and what is left of one at the end', async t => {
    const { join } = await streams(t)
    const { client, answer } = await join()
    const [euro, cut] = [Buffer.from('€'), Buffer.from('€').subarray(0, 2)]
    await client.pipe([euro.subarray(0, 1), euro.subarray(1), cut])
    client.send('end')
    assert.equal(await answer.until('end\n\n'), ':ok\n\ndata: €\n\ndata: \ufffd\n\ndata: end\n\n')
  })

  test('of a source that fails ends no process, and is told to who listens', async t => {
    const { sse, join } = await streams(t)
    const fault = new Error('on purpose')
    const failing = () => Readable.from((async function* () { throw fault })())
    const { client, answer } = await join()
    client.pipe(failing())
    await new Promise(setImmediate)
    const told = once(sse, 'error').catch(error => [error])
    client.pipe(failing())
    assert.deepEqual(await told, [fault])
    client.send('and on')
    await answer.until('and on')
  })

  test('goes no faster than the client takes it', async t => {
    const { join } = await streams(t, { options: { maxBacklog: { bytes: 2 ** 30 } } })
    const { client, answer } = await join()
    answer.body.pause()
    let given = 0
    const large = 'x'.repeat(200_000)
    function* source() {
      for (; given < 200; given++) yield large
    }
    const piped = client.pipe(source())
    const before = await settled(() => given)
    assert.ok(before < 100, `${before} of 200 were taken from the source, and nobody read`)
    answer.body.resume()
    await piped
    await eventually(() => answer.text.length >= 40_000_000, 'all of it')
  })
})

/** What `value` gives once it has not changed for a while. */
async function settled(value) {
  let [last, since] = [value(), performance.now()]
  await eventually(() => {
    if (value() !== last) [last, since] = [value(), performance.now()]
    return performance.now() - since > 300
  })
  return last
}
