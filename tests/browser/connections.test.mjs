import assert from 'node:assert/strict'
import { test } from 'node:test'

import { open, until, useBrowser } from './browser.mjs'
import { start } from './example.mjs'
import { proxy } from './proxy.mjs'

useBrowser()

const OPEN = 1
const CONNECTING = 0

// Browsers open at most six connections to a server over HTTP/1.1, and an event stream keeps its
// connection. That is why a site whose users have many tabs should be served over HTTP/2.
test('over HTTP/1.1 a seventh stream waits until one of six is closed', async t => {
  const server = await start(t, 'serverstats')
  const counter = await proxy(t, server.port)
  const page = await open(t, `${counter.url}/shared.css`)
  await page.evaluate(() => {
    globalThis.streams = Array.from({ length: 7 }, () => {
      const source = new EventSource('/sse')
      const stream = { source, events: 0 }
      source.onmessage = () => stream.events++
      return stream
    })
  })
  const states = () => page.evaluate(() => streams.map(({ source }) => source.readyState))

  // A second's worth of events for six, and the seventh is not even connected.
  await until(page, () => streams.filter(({ events }) => events >= 10).length === 6)
  assert.deepEqual((await states()).toSorted(), [CONNECTING, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN])
  assert.equal(counter.requests.filter(request => request.includes('GET /sse')).length, 6)

  await page.evaluate(() => streams.find(({ events }) => events > 0).source.close())
  await until(page, () => streams.every(({ events }) => events > 0))
})

test('over HTTP/2 twenty streams share one connection', async t => {
  const server = await start(t, 'http2')
  const page = await open(t, server.url)
  await until(page, () => document.querySelectorAll('#tiles .open').length === 20)

  const counts = () => page.locator('#tiles output').allTextContents()
  const before = await counts()
  await until(
    page,
    before => [...document.querySelectorAll('#tiles output')].every(({ value }, index) => value !== before[index]),
    before,
  )

  assert.equal(await page.locator('#protocol').innerText(), 'h2')
  const { connections, streams } = await page.evaluate(() => fetch('/counts').then(answer => answer.json()))
  assert.deepEqual({ connections, streams }, { connections: 1, streams: 20 })
})
