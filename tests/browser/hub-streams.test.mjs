// Streams on the hub's own page: where they begin, how they are lost and found, and how they end.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { connection, until, useBrowser } from './browser.mjs'
import { restart, start } from './example.mjs'
import { follow, followed, openHub, part, post, publish, publishBatch, publishing, shows } from './hub.mjs'
import { proxy } from './proxy.mjs'

useBrowser()

test('a pattern shows the topics of its events', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await follow(page, 'news/*')
  await publish(server, 'news/sport', 'goal')
  await publish(server, 'weather', 'rain')
  await post(server, '/sse/news/world?event=flash', 'wow')
  await shows(page, 'goal', 'wow')
  assert.deepEqual(await part(page, 'topic'), ['news/world', 'news/sport'])
  assert.deepEqual(await part(page, 'name'), ['flash', 'message'])
  assert.equal(await publishing(page).topic.inputValue(), '')
})

test('it begins where it is told to', async t => {
  const server = await start(t, 'hub')
  await publish(server, 'news', 'one', 'two', 'three')
  const page = await openHub(t, server.url)
  await follow(page, 'news', { from: 'last', last: 2 })
  await shows(page, 'two', 'three')
  await follow(page, 'news', { from: 'latest' })
  await publish(server, 'news', 'four')
  await shows(page, 'four')
  await follow(page, 'news', { from: 'earliest' })
  await shows(page, 'one', 'two', 'three', 'four')

  // The address says what is followed, for a reload or a friend.
  const friend = await openHub(t, page.url())
  await shows(friend, 'one', 'two', 'three', 'four')
  await friend.getByRole('button', { name: 'Stop' }).click()
  await followed(friend, 'stopped', /^Stopped$/)
  assert.equal(new URL(friend.url()).hash, '')
  await publish(server, 'news', 'five')
  await shows(page, 'one', 'two', 'three', 'four', 'five')
  await shows(friend, 'one', 'two', 'three', 'four')
})

test('a hub that is killed is lost and found again, and the gap is marked', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await follow(page, 'news')
  const [id] = await publish(server, 'news', 'before')
  await shows(page, 'before')

  await server.kill()
  await connection(page, 'lost', /^Connection lost, trying again…$/)
  await followed(page, 'lost', /^Connection lost, trying again…$/)
  const again = await restart(t, server)
  await connection(page, 'open', /^Connected again after \d+\.\d s$/)
  await followed(page, 'open', /^Connected again after \d+\.\d s$/)
  const [other] = await publish(again, 'news', 'after')
  await shows(page, 'before', 'after')
  // The log was in memory.
  assert.notEqual(id.split('-')[0], other.split('-')[0])
  const [newest, gap, oldest] = await page.locator('#events li').allTextContents()
  assert.match(newest, /after$/)
  assert.match(gap, /^Events may be missing here: the hub has another log than before/)
  assert.match(oldest, /before$/)
  await page.locator('#about').getByText(`log ${other.split('-')[0]}`).waitFor()
})

test('after a cut it goes on where it was', async t => {
  const server = await start(t, 'hub')
  const tunnel = await proxy(t, server.port)
  const page = await openHub(t, tunnel.url)
  await follow(page, 'news', { from: 'latest' })
  await publish(server, 'news', 'one')
  await shows(page, 'one')
  tunnel.cut()
  await followed(page, 'lost')
  await publish(server, 'news', 'two', 'three')
  await followed(page, 'open', /again/)
  await publish(server, 'news', 'four')
  await shows(page, 'one', 'two', 'three', 'four')
  assert.equal(await page.locator('.remark').count(), 0)
})

test('it goes on even where a browser gives up', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await follow(page, 'news')
  await publish(server, 'news', 'one', 'two')
  await shows(page, 'one', 'two')
  // As a proxy answers while the hub behind it starts.
  const unavailable = { status: 503, headers: { 'Retry-After': '1' }, body: 'one moment' }
  let refused = 0
  await page.route(/\/sse\?/, route => {
    refused++
    return route.fulfill(unavailable)
  })
  await server.kill()
  await followed(page, 'lost')
  const again = await restart(t, server)
  // Each of the two streams, and the question why.
  await page.waitForEvent('response', () => refused >= 4)
  await page.unroute(/\/sse\?/)
  await followed(page, 'open', /again/)
  await publish(again, 'news', 'three')
  await shows(page, 'one', 'two', 'three')
  assert.equal(await page.locator('.gap').count(), 1)
})

test('a topic that has ended is said to have', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await follow(page, 'answer')
  await publish(server, 'answer', 'It')
  await post(server, '/sse/answer?end=true', 'ends.')
  await followed(page, 'ended', /^Ended$/)
  await shows(page, 'It', 'ends.')
  assert.match(await page.locator('#events li').first().textContent(), /^The topic has ended/)
  assert.ok(await page.getByRole('button', { name: 'Stop' }).isDisabled())
})

test('a pattern that the hub refuses is not tried again', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await page.getByLabel('Topic or pattern').fill('ü'.repeat(200))
  await page.getByRole('button', { name: 'Follow', exact: true }).click()
  await followed(page, 'closed', /^the name of a topic is at most 256 bytes long, this one is 400$/)
})

test('a paused list counts what waits, and shows it then', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await follow(page, 'news')
  await publish(server, 'news', 'one')
  await shows(page, 'one')
  await page.getByRole('button', { name: 'Pause' }).click()
  await publish(server, 'news', 'two', 'three')
  await page.getByRole('button', { name: 'Resume (2)' }).click()
  await shows(page, 'one', 'two', 'three')
  await page.getByRole('button', { name: 'Clear' }).click()
  assert.equal(await page.locator('#events li').count(), 0)
  assert.equal(await page.locator('#event-count').textContent(), '0')
  await publish(server, 'news', 'four')
  await shows(page, 'four')

  await page.getByRole('button', { name: 'Pause' }).click()
  await post(server, '/sse/news?end=true', 'five')
  await followed(page, 'ended')
  await shows(page, 'four', 'five')
})

test('of many events the newest are kept', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const events = Array.from({ length: 5000 }, (_, index) => ({ topic: 'many', data: `event ${index}` }))
  await follow(page, 'many')
  await publishBatch(server, events)
  await until(page, () => document.querySelector('#events .data')?.textContent === 'event 4999')
  assert.equal(await page.locator('#event-count').textContent(), '5,000')
  const shown = await page.locator('#events .data').allTextContents()
  assert.equal(shown.length, 500)
  assert.equal(shown.at(-1), 'event 4500')
})
