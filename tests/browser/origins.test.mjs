import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { open, useBrowser } from './browser.mjs'
import { start } from './example.mjs'

useBrowser()

/** An origin that has nothing but an empty page. */
async function emptyPage(t) {
  const server = createServer((_, response) => response.end('<!doctype html><title>empty</title>'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${server.address().port}`
}

/** What an EventSource of the page gets first: an event's data, or how it was refused. */
async function firstOf(page, url, options) {
  return page.evaluate(
    ([url, options]) =>
      new Promise(done => {
        const source = new EventSource(url, options)
        source.onmessage = ({ data }) => done(data)
        source.onerror = () => done(source.readyState === EventSource.CLOSED ? 'blocked' : 'lost')
      }),
    [`${url}/sse`, options],
  )
}

test('the page of an origin that is let in gets events, and the server its cookie', async t => {
  const origin = await emptyPage(t)
  const server = await start(t, 'cors', { env: { ORIGIN: origin } })
  const page = await open(t, origin)
  await page.evaluate(() => (document.cookie = 'name=Ada'))
  assert.equal(await firstOf(page, server.url, { withCredentials: true }), 'hello, Ada!')
  assert.equal(await firstOf(page, server.url), 'hello, whoever you are!')
})

test('the page of another origin is blocked', async t => {
  const server = await start(t, 'cors', { env: { ORIGIN: await emptyPage(t) } })
  const page = await open(t, await emptyPage(t))
  assert.equal(await firstOf(page, server.url), 'blocked')
})

test('without CORS every other origin is blocked', async t => {
  const server = await start(t, 'basic')
  const page = await open(t, await emptyPage(t))
  assert.equal(await firstOf(page, server.url), 'blocked')

  const own = await open(t, server.url)
  assert.equal(await firstOf(own, server.url), 'hi there!')
})

test('a preflight for an unusual last event id is answered', async t => {
  const origin = await emptyPage(t)
  const server = await start(t, 'cors', { env: { ORIGIN: origin } })
  const response = await fetch(`${server.url}/sse`, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'last-event-id',
    },
  })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('access-control-allow-origin'), origin)
  assert.equal(response.headers.get('access-control-allow-credentials'), 'true')
  assert.match(response.headers.get('access-control-allow-headers'), /last-event-id/i)
})
