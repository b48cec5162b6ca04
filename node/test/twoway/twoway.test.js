// Each program runs with sse 0.0.8 and with ours: the same bytes, and the same events in the same order.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'

import { SSE } from '../support/subject.js'
import { comparable } from './differences.js'
import { prepared, programs } from './programs.js'
import { run } from './stage.js'

const Original = createRequire(import.meta.url)('original')

const all = { ...Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, { program }])), ...prepared }

suite('both do the same', { concurrency: true }, () => {
  for (const [name, program] of Object.entries(all)) {
    test(name, async t => {
      const [theirs, ours] = [await run(t, Original, program), await run(t, SSE, program)]
      assert.deepEqual(comparable(name, ours), comparable(name, theirs))
    })
  }
})
