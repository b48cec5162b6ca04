// The wire vectors: what is sent is encoded, and what comes from a hub is decoded, as by the crates.

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'

import { SSE, oursOnly } from '../support/subject.js'

const { Decoder } = createRequire(import.meta.url)('../../lib/decode.js')

const WIRE = new URL('../../../testdata/wire/', import.meta.url)
const read = url => JSON.parse(readFileSync(url, 'utf8'))

suite('what is sent', oursOnly, () => {
  for (const { name, send, wire, error } of read(new URL('../../test-vectors.json', import.meta.url))) {
    test(name, () => {
      if (error) assert.throws(() => sent(...send), { name: error })
      else assert.equal(sent(...send), wire)
    })
  }

  for (const { name, event, wire } of read(new URL('encode/events.json', WIRE))) {
    // The empty id is no id to sse.js.
    test(name, { skip: event.id === '' }, () => {
      assert.equal(sent({ event: event.name, data: event.data, id: event.id, retry: event.retry_ms }), wire)
    })
  }
})

suite('what comes', oursOnly, () => {
  for (const file of readdirSync(new URL('decode/', WIRE))) {
    for (const vector of read(new URL(`decode/${file}`, WIRE))) {
      // Its limit is its own.
      const skip = vector.options?.max_event_bytes !== undefined
      test(`${file}: ${vector.name}`, { skip }, () => {
        const bytes = Buffer.concat(vector.chunks.map(toBytes))
        check(vector, [bytes])
        check(vector, Array.from(bytes, byte => Buffer.of(byte)))
      })
    }
  }
})

function sent(...args) {
  let text = ''
  const response = Object.assign(new EventEmitter(), { write: part => (text += part) })
  new SSE.Client({}, response).send(...args)
  return text
}

function toBytes(chunk) {
  return typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk.hex.replaceAll(' ', ''), 'hex')
}

function check({ options, items, last_event_id: lastEventId = '', reconnection_ms: retry }, parts) {
  const decoder = new Decoder(options?.last_event_id)
  const events = parts.flatMap(part => [...decoder.push(part)])
  const expected = items.filter(item => item.event).map(({ event }) => event)
  assert.deepEqual(events.map(toEvent), expected.map(({ data = '', name, id = '' }) => ({ data, name: name ?? 'message', id })))
  assert.equal(decoder.lastEventId, lastEventId)
  assert.equal(decoder.retry, retry)
}

function toEvent({ event = 'message', data, id = '' }) {
  return { data, name: event, id }
}
