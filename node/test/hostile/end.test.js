// How a process with open streams ends.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { raw } from '../support/raw.js'
import { child } from './child.js'
import { crowd } from './crowd.js'

const STREAMS = 100

test('SIGTERM ends a process that does nothing about it', async t => {
  const server = await child(t)
  const members = await crowd(t, server.port, STREAMS)
  server.process.kill('SIGTERM')
  assert.deepEqual(await server.exit, { status: null, signal: 'SIGTERM' })
  await Promise.all(members.map(member => member.until(() => member.hasEnded, 'the end').catch(() => {})))
})

test('SIGTERM ends all streams where the program closes them, and gives them what was sent', async t => {
  const server = await child(t)
  await server.order('endOnSignal')
  const members = await crowd(t, server.port, STREAMS)
  const stream = await raw(t, server.port)
  await stream.until(':ok')
  await server.order('broadcast', { count: 500, data: 'x'.repeat(1000) })
  server.process.kill('SIGTERM')
  await Promise.all(members.map(member => member.hasEvents(500)))
  assert.match((await stream.untilEnd()).slice(-200), /\r\n0\r\n\r\n$/)
  assert.deepEqual(await server.exit, { status: 0, signal: null })
  assert.equal(server.errors, '')
})

test('a process with a peer that takes nothing ends when the grace is over', async t => {
  const server = await child(t)
  const stream = await raw(t, server.port)
  await stream.until(':ok')
  stream.socket.pause()
  await server.order('broadcast', { count: 1000, data: 'x'.repeat(20_000) })
  const begun = performance.now()
  await server.end({ grace: 1000 })
  assert.ok(performance.now() - begun > 1000)
})
