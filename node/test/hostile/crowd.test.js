// Many clients, some of whom read nothing, and many who come and go.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { eventually } from '../support/received.js'
import { isSoak } from '../support/soak.js'
import { child } from './child.js'
import { Member, crowd } from './crowd.js'

const CLIENTS = isSoak ? 18_000 : 2_000
const CONNECTIONS = isSoak ? 100_000 : 2_500
/** The first ones warm everything up. */
const BEFOREHAND = isSoak ? 10_000 : 1_000
const AT_ONCE = 250
const MIB = 1024 * 1024
/** What a leak of 2 KiB for each connection would take in a round. */
const MORE_MIB = CONNECTIONS * 2 / 1024
/** V8 takes memory as it likes, and keeps it: it has to come to rest in one of these. */
const ROUNDS = 8

test(`${CLIENTS} clients are given all events, once and in order`, async t => {
  const server = await child(t)
  const members = await crowd(t, server.port, CLIENTS)
  assert.equal(await server.order('clients'), CLIENTS)
  await server.order('broadcast', { count: 20, data: 'x'.repeat(100) })
  await Promise.all(members.map(member => member.hasEvents(20)))
  const { resident } = await server.order('usage')
  t.diagnostic(`${Math.round(resident / MIB)} MiB`)
  await server.order('closeClients')
  members.forEach(member => member.socket.end())
  await eventually(async () => (await server.order('clients')) === 0, 'all to leave')
  await server.end()
})

test('those who do not read keep nobody waiting, and miss nothing', async t => {
  const server = await child(t)
  const [fast, paused] = [await crowd(t, server.port, 50), await crowd(t, server.port, 5)]
  paused.forEach(member => member.socket.pause())
  const large = { count: 1000, data: 'x'.repeat(10_000) }
  await server.order('broadcast', large)
  await Promise.all(fast.map(member => member.hasEvents(1000)))
  assert.ok(paused.every(member => member.events < 1000))
  paused.forEach(member => member.socket.resume())
  await Promise.all(paused.map(member => member.hasEvents(1000)))
  fast.concat(paused).forEach(member => member.leave())
  await server.end()
})

test(`after ${CONNECTIONS} connections all is as before`, async t => {
  const server = await child(t)
  await comeAndGo(t, server, BEFOREHAND)
  const first = await server.order('usage')
  let before = first
  let grown = Infinity
  for (let round = 0; grown >= MORE_MIB; round++) {
    assert.ok(round < ROUNDS, `${grown} MiB more in the last of ${ROUNDS} rounds`)
    await comeAndGo(t, server, CONNECTIONS)
    const after = await eventually(async () => {
      const usage = await server.order('usage')
      return usage.descriptors <= first.descriptors && usage
    }, 'all descriptors to be closed')
    grown = (after.resident - before.resident) / MIB
    t.diagnostic(`${(before.resident / MIB).toFixed(1)} MiB resident, ${grown.toFixed(1)} MiB more after a round`)
    assert.equal(after.clients, 0)
    assert.equal(after.threads, first.threads)
    before = after
  }
  await server.end()
})

/** Each is given something, and leaves in one way or another. */
async function comeAndGo(t, server, connections) {
  for (let done = 0; done < connections; done += AT_ONCE) {
    const members = Array.from({ length: AT_ONCE }, () => new Member(server.port, '127.0.0.1'))
    await Promise.all(members.map(member => member.until(() => member.isOpen, 'the beginning')))
    await server.order('broadcast', { count: 1, data: 'to all' })
    await Promise.all(members.map(member => member.hasEvents(1)))
    if (done % (2 * AT_ONCE)) await server.order('closeClients')
    for (const [index, member] of members.entries()) {
      member.isLeaving = true
      if (index % 2) member.socket.resetAndDestroy()
      else member.socket.end()
    }
    await eventually(async () => (await server.order('clients')) === 0, 'all to leave')
  }
}
