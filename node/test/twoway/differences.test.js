// The table of differences in the README: each is shown by a program, and there are no others in it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'

import { SSE } from '../support/subject.js'
import { ofOthers, ofValues } from './differences.js'
import { differing } from './differing.js'

const Original = createRequire(import.meta.url)('original')
const README = resolve(import.meta.dirname, '../../README.md')

test('the README has these, and no others', () => {
  const [, table] = readFileSync(README, 'utf8').split('## What is not as in sse 0.0.8\n')
  const rows = [...table.split('\n## ')[0].matchAll(/^\| (?!\|)(.+?) \| .+ \| .+ \|$/gm)].map(([, what]) => what)
  assert.deepEqual(rows.toSorted(), [...ofValues, ...ofOthers, ...Object.keys(differing)].toSorted())
})

suite('each is so', () => {
  for (const [what, { run, theirs, ours }] of Object.entries(differing)) {
    test(what, async t => {
      assert.deepEqual(await run(t, SSE), ours, 'ours')
      assert.deepEqual(await run(t, Original), theirs, "the original's")
    })
  }
})
