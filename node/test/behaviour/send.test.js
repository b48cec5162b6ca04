// What `client.send` writes.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { given } from '../support/streams.js'
import { oursOnly } from '../support/subject.js'

/** A test for each of `cases`: its name, the arguments of `send`, and what comes. */
function sends(cases, options = {}) {
  for (const [name, args, expected] of cases) {
    test(name, options, async t => assert.equal(await given(t, client => client.send(...args)), expected))
  }
}

suite('data alone', { concurrency: true }, () => {
  sends([
    ['a text', ['foobar'], 'data: foobar\n\n'],
    ['LF', ['foo\nbar\nbaz'], 'data: foo\ndata: bar\ndata: baz\n\n'],
    ['CR', ['foo\rbar\rbaz'], 'data: foo\ndata: bar\ndata: baz\n\n'],
    ['CRLF', ['foo\r\nbar\r\nbaz'], 'data: foo\ndata: bar\ndata: baz\n\n'],
    ['LF before CR, which makes two lines', ['foo\n\rbar\n\r'], 'data: foo\ndata: \ndata: bar\ndata: \ndata: \n\n'],
    ['line ends at both ends', ['\na\n'], 'data: \ndata: a\ndata: \n\n'],
    ['line separators of Unicode, which end no line', ['a\u2028b\u2029c\u0085d\ve\f'], 'data: a\u2028b\u2029c\u0085d\ve\f\n\n'],
    ['fields, which stay data', ['event: x\n: y'], 'data: event: x\ndata: : y\n\n'],
    ['blanks and colons', ['  : '], 'data:   : \n\n'],
    ['characters beyond ASCII', ['zwölf 十二 🎉'], 'data: zwölf 十二 🎉\n\n'],
    ['half of a surrogate pair', ['a\ud83db'], 'data: a\ufffdb\n\n'],
    ['NUL', ['a\0b'], 'data: a\0b\n\n'],
  ])
})

suite('event, data and id', { concurrency: true }, () => {
  sends([
    ['event and data', ['foobar', 'somedata'], 'event: foobar\ndata: somedata\n\n'],
    ['with an id', ['foobar', 'somedata', 'one'], 'event: foobar\nid: one\ndata: somedata\n\n'],
    ['with a number as id', ['foobar', 'somedata', 100], 'event: foobar\nid: 100\ndata: somedata\n\n'],
    ['lines', ['foobar', 'some\ndata'], 'event: foobar\ndata: some\ndata: data\n\n'],
    ['no event', ['', 'somedata'], 'data: somedata\n\n'],
    ['no event, but an id', [undefined, 'somedata', 1], 'id: 1\ndata: somedata\n\n'],
    ['no id', ['foobar', 'somedata', ''], 'event: foobar\ndata: somedata\n\n'],
    ['nothing', [], ''],
  ])
})

suite('an object', { concurrency: true }, () => {
  sends([
    ['data', [{ data: 'some\ndata' }], 'data: some\ndata: data\n\n'],
    ['all fields, in this order', [{ data: 'd', id: 'i', retry: 5, event: 'e' }], 'event: e\nretry: 5\nid: i\ndata: d\n\n'],
    ['retry as text', [{ data: 'd', retry: '2500' }], 'retry: 2500\ndata: d\n\n'],
    ['fields that are empty', [{ data: 'd', id: '', retry: undefined, event: null }], 'data: d\n\n'],
    ['arguments behind it, which are nothing', [{ data: 'd' }, 'x', 'y'], 'data: d\n\n'],
  ])
})

suite('where the original throws or leaves out, the whole event is sent', { concurrency: true }, () => {
  sends(
    [
      ['the empty string', [''], 'data: \n\n'],
      ['a number', [42], 'data: 42\n\n'],
      ['zero', [0], 'data: 0\n\n'],
      ['true', [true], 'data: true\n\n'],
      ['false', [false], 'data: false\n\n'],
      ['a large number', [2n ** 70n], 'data: 1180591620717411303424\n\n'],
      ['an event with a number', ['count', 7], 'event: count\ndata: 7\n\n'],
      ['an event with zero', ['count', 0], 'event: count\ndata: 0\n\n'],
      ['an event without data', [{ event: 'ping' }], 'event: ping\ndata: \n\n'],
      ['an event with undefined', ['ping', undefined], 'event: ping\ndata: \n\n'],
      ['an event with null', ['ping', null], 'event: ping\ndata: \n\n'],
      ['an event with an empty string', ['ping', ''], 'event: ping\ndata: \n\n'],
      ['an event whose data is undefined', [{ data: undefined }], 'data: \n\n'],
      ['an id of zero', ['e', 'd', 0], 'event: e\nid: 0\ndata: d\n\n'],
      ['an id of zero in an object', [{ data: 'd', id: 0 }], 'id: 0\ndata: d\n\n'],
      ['retry of zero', [{ data: 'd', retry: 0 }], 'retry: 0\ndata: d\n\n'],
      ['a number in an object', [{ data: 1.5 }], 'data: 1.5\n\n'],
      ['null', [null], 'data: \n\n'],
      ['undefined', [undefined], 'data: \n\n'],
      ['an object as data', [{ data: { a: [1] } }], 'data: {"a":[1]}\n\n'],
      ['an array as data', ['list', [1, 'two']], 'event: list\ndata: [1,"two"]\n\n'],
      ['bytes', ['bytes', Buffer.from('a\nü')], 'event: bytes\ndata: a\ndata: ü\n\n'],
      ['an object that has a text', ['at', { toString: () => 'noon' }], 'event: at\ndata: noon\n\n'],
    ],
    oursOnly,
  )
})

suite('what would inject a field throws before anything is written', { concurrency: true, ...oursOnly }, () => {
  for (const [name, args] of [
    ['LF in an event', ['a\ndata: x', 'd']],
    ['CR in an event', ['a\rdata: x', 'd']],
    ['LF in an id', ['e', 'd', '1\ndata: x']],
    ['CR in an id', ['e', 'd', '1\rx']],
    ['LF in an event of an object', [{ event: 'a\nb', data: 'd' }]],
    ['LF in an id of an object', [{ id: 'a\nb', data: 'd' }]],
    ['NUL in an id', ['e', 'd', '1\0']],
    ['retry that is no number', [{ retry: 'soon', data: 'd' }]],
    ['retry that is no whole number', [{ retry: 1.5, data: 'd' }]],
    ['LF in retry', [{ retry: '1\ndata: x', data: 'd' }]],
  ]) {
    test(name, async t => {
      const text = await given(t, client => {
        assert.throws(() => client.send(...args), TypeError)
        client.send('after')
      })
      assert.equal(text, 'data: after\n\n')
    })
  }
})

suite('an object that is no event throws, and nothing is written', { concurrency: true, ...oursOnly }, () => {
  const noEvents = [{}, { at: 1 }, new Date(), new Error('on purpose'), new Map(), new ArrayBuffer(1)]
  for (const what of noEvents) {
    test(`${what.constructor.name} ${JSON.stringify(what)}`, async t => {
      const text = await given(t, client => {
        assert.throws(() => client.send(what), { name: 'TypeError', message: /an event has event, data, id, retry/ })
        client.send({ data: 'after' })
      })
      assert.equal(text, 'data: after\n\n')
    })
  }
})

suite('many', { concurrency: true }, () => {
  test('in the order of sending', async t => {
    const numbers = Array.from({ length: 1000 }, (_, index) => `${index}`)
    const text = await given(t, client => numbers.forEach(number => client.send(number)))
    assert.equal(text, numbers.map(number => `data: ${number}\n\n`).join(''))
  })

  test('the same twice, and others between', async t => {
    const events = [['same'], ['same'], ['other', 'same'], ['other', 'same'], ['other', 'same', 1], ['same']]
    const text = await given(t, client => events.forEach(event => client.send(...event)))
    const same = 'data: same\n\n'
    const other = `event: other\n${same}`
    assert.equal(text, `${same}${same}${other}${other}event: other\nid: 1\n${same}${same}`)
  })

  test('over several turns of the event loop', async t => {
    const text = await given(t, async client => {
      for (let index = 0; index < 20; index++) {
        client.send(`${index}`)
        await new Promise(setImmediate)
      }
    })
    assert.equal(text, Array.from({ length: 20 }, (_, index) => `data: ${index}\n\n`).join(''))
  })

  test('a large one', async t => {
    const line = 'x'.repeat(1_000_000)
    const text = await given(t, client => client.send(`${line}\n${line}`))
    assert.ok(text === `data: ${line}\ndata: ${line}\n\n`)
  })
})
