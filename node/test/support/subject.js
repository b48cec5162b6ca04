// The package under test: `SSE_SUBJECT` is `addon`, `fallback`, or `original` for sse 0.0.8 from npm.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export const subject = process.env.SSE_SUBJECT ?? 'addon'
export const isOurs = subject !== 'original'

if (subject === 'fallback') process.env.SSE_FALLBACK = '1'

export const SSE = require(isOurs ? '../..' : 'original')

if (isOurs) assert.equal(SSE.native, subject === 'addon', `the subject is to be the ${subject}`)

/** Options of a test of what the original does not have, or does otherwise. */
export const oursOnly = { skip: !isOurs && 'the original does otherwise' }
