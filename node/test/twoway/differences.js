// Where ours does otherwise, and what is the same all the same. The table in node/README.md names them too.

import { subject } from '../support/subject.js'

/** What of a program's bytes and events is not compared, and why. */
const PROGRAMS = {
  'the peer leaves while much is sent': {
    difference: 'a write that fails',
    subject: 'addon',
    comparable: ({ answers, events }) => ({ answers, events: events.filter(event => !/^socket \d+ (end|error)/.test(event)) }),
  },
}

/** The part of what a program did that is to be the same. */
export function comparable(name, result) {
  const { subject: only, comparable: part } = PROGRAMS[name] ?? {}
  return part && only === subject ? part(result) : result
}

const isText = value => typeof value === 'string' && value !== ''
const isAbsent = value => value === undefined || value === null || value === ''

/**
 * The difference that makes an event another one than the original's; `undefined` where it is to be the
 * same. In this order: what is refused goes before what is sent in full.
 */
export function differenceOf({ event, data, id, retry, isAlone }) {
  if (/[\r\n]/.test(String(event || ''))) return 'a line end in an event name or id'
  if (/[\r\n\0]/.test(String(id || ''))) return 'a line end in an event name or id'
  if (retry && !/^\d+$/.test(String(retry))) return 'a retry that is no whole number'
  if (isAlone && data === '') return undefined
  if (isAbsent(data)) return 'data that is absent or empty'
  if (!isText(data)) return 'data that is no text'
  if (id === 0 || id === 0n) return 'an id of 0'
  if (retry === 0 || retry === 0n) return 'a retry of 0'
  return undefined
}
