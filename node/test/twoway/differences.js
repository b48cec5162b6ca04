// Where ours does otherwise: the rows of the table in node/README.md, by their first column.

const WHOLE_EVENT = "`send(42)`, `send(null)`, `send('name', undefined)`"
const OBJECT = 'data that is an object'
const ZERO = '`id: 0`, `retry: 0`'
const LINE_END = 'CR or LF in `event`, `id` or `retry`'
const NUL = 'NUL in `id`'
const RETRY = '`retry` that is no whole number'

/** What values.test.js goes through. */
export const ofValues = [WHOLE_EVENT, OBJECT, ZERO, LINE_END, NUL, RETRY]

/** What there is nothing to run for: tests of ours alone show it. */
export const ofOthers = ['`SSE.prototype`, `RegExp.quote`', 'dependencies']

/**
 * The row that makes an event another one than the original's; `undefined` where it is to be the same. What
 * is refused goes before what is sent in full.
 */
export function differenceOf({ event, data, id, retry, isAlone }) {
  if ([event, id, retry].some(value => /[\r\n]/.test(String(value || '')))) return LINE_END
  if (String(id || '').includes('\0')) return NUL
  if (retry && !/^\d+$/.test(String(retry))) return RETRY
  if (typeof data === 'object' && data !== null) return OBJECT
  if (typeof data !== 'string' || (data === '' && !isAlone)) return WHOLE_EVENT
  if ([id, retry].some(value => value === 0 || value === 0n)) return ZERO
  return undefined
}

/**
 * The part of what a program did that is to be the same: with the addon, a peer that breaks off is seen by
 * reading, and its socket may have no error before.
 */
export function comparable(name, { answers, events }) {
  if (name !== 'the peer leaves while much is sent') return { answers, events }
  return { answers, events: events.filter(event => !/^socket \d+ (end|error)/.test(event)) }
}
