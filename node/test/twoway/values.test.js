// Every combination of odd arguments of `send`, to both: the same bytes, or a difference that is named.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

import { host } from '../support/hosts.js'
import { SSE } from '../support/subject.js'
import { differenceOf } from './differences.js'

const Original = createRequire(import.meta.url)('original')

const NAMES = [undefined, null, '', 'name', ' ', ':', 'a\nb', 'a\rb', 'zwölf', 0, 7, true, false]
const DATA = [undefined, null, '', 'text', 'two\nlines', '\r\n', '\r', ' x', 'ü🎉', 0, 1.5, NaN, true, false, [], [1], {}, { a: 1 }, Buffer.from('b'), 2n]
const IDS = [undefined, null, '', 'id', 0, 7, 8n, 'a\nb', 'a\0b', false, 'zwölf']
const RETRIES = [undefined, null, '', 0, 5, '250', 'soon', -1, 1.5]

/** One event of each kind that `send` takes: as arguments, and what they mean. */
function* combinations() {
  for (const data of DATA) if (!isEvent(data)) yield [[data], { data, isAlone: true }]
  for (const event of NAMES.filter(name => name !== null)) {
    for (const data of DATA) {
      yield [[event, data], { event, data }]
      for (const id of IDS) yield [[event, data, id], { event, data, id }]
    }
  }
  for (const event of NAMES) {
    for (const data of DATA) {
      for (const id of IDS) for (const retry of RETRIES) yield [[{ event, data, id, retry }], { event, data, id, retry }]
    }
  }
}

/** The original takes whatever is an object for an event. */
function isEvent(value) {
  return typeof value === 'object'
}

/** What each of these is as bytes; `undefined` where `send` threw. */
async function sent(t, Class, all) {
  const { server, ask } = await host(t)
  const clients = new Class(server)
  const connection = new Promise(done => clients.on('connection', done))
  const answer = await ask('/sse')
  const client = await connection
  const threw = all.map(([args], number) => {
    const error = caught(() => client.send(...args))
    client.res.write(`: end of ${number}\n`)
    return error
  })
  const text = await answer.until(`: end of ${all.length - 1}\n`)
  const parts = text.slice(':ok\n\n'.length).split(/: end of \d+\n/)
  return threw.map((error, number) => ({ error, bytes: parts[number] }))
}

function caught(action) {
  try {
    action()
  } catch (error) {
    return error
  }
}

test('all combinations of odd arguments', async t => {
  const all = [...combinations()]
  const [theirs, ours] = [await sent(t, Original, all), await sent(t, SSE, all)]
  const counts = {}
  for (const [number, [args, meaning]] of all.entries()) {
    const difference = differenceOf(meaning)
    counts[difference ?? 'the same'] = (counts[difference ?? 'the same'] ?? 0) + 1
    check(difference, theirs[number], ours[number], `send(${args.map(shown).join(', ')})`)
  }
  t.diagnostic(JSON.stringify(counts))
})

function check(difference, theirs, ours, what) {
  if (difference === undefined) {
    assert.deepEqual(ours, theirs, what)
  } else if (ours.error) {
    assert.ok(ours.error instanceof TypeError, what)
    assert.equal(ours.bytes, '', what)
  } else {
    // One whole event, whatever it is.
    assert.match(ours.bytes, /^(event: [^\r\n]*\n)?(retry: \d+\n)?(id: [^\r\n\0]*\n)?(data: [^\r\n]*\n)+\n$/, what)
    assert.notDeepEqual(ours, theirs, `${what} is the same; it is no difference`)
  }
}

function shown(value) {
  return typeof value === 'bigint' ? `${value}n` : JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))
}
