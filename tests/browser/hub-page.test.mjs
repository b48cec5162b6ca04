// The hub's own page: its figures, its token, its look, and what protects it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { connection, open, until, useBrowser } from './browser.mjs'
import { restart, start } from './example.mjs'
import { follow, openHub, post, publish, publishBatch, publishing, shows } from './hub.mjs'

useBrowser()

const PHONE = { width: 390, height: 844 }

test('a token is asked for when the hub wants one, and kept for the tab', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  assert.ok(await page.locator('#token').isHidden())
  // As a hub that lets nobody in without a token. `late` has no rights.
  const denial = (status, detail) => ({
    status,
    headers: { 'Content-Type': 'application/problem+json', 'WWW-Authenticate': 'Bearer realm="fanfare"' },
    body: JSON.stringify({ title: 'No', status, detail }),
  })
  const tokens = new Set()
  await page.route(/^[^?]*:\d+\/(sse|topics)\b/, (route, request) => {
    const inQuery = new URL(request.url()).searchParams.get('access_token')
    const token = inQuery ?? request.headers().authorization?.replace('Bearer ', '')
    if (!token) return route.fulfill(denial(401, 'Send a token.'))
    if (token !== 'secret') return route.fulfill(denial(403, 'This token gives no right to that.'))
    tokens.add(`${request.method()} ${inQuery ? 'query' : 'header'}`)
    return route.continue()
  })
  await page.reload()
  await page.getByRole('alert').getByText('Send a token.').waitFor()
  await connection(page, 'closed', /^Send a token\.$/)

  const field = page.getByLabel('Access token', { exact: true }).and(page.locator('input'))
  await field.fill('other')
  await page.getByRole('button', { name: 'Use', exact: true }).click()
  await page.getByRole('alert').getByText('This token gives no right to that.').waitFor()
  await field.fill('secret')
  await field.press('Enter')
  await connection(page, 'open')
  assert.ok(await page.locator('#token').isHidden())

  await follow(page, 'news')
  const form = publishing(page)
  await form.data.fill('hello')
  await form.button.click()
  await shows(page, 'hello')
  await page.getByRole('button', { name: 'news', exact: true }).waitFor()
  assert.deepEqual([...tokens].toSorted(), ['GET header', 'GET query', 'POST header'])
  // Lines for a terminal have a place for it, but not the token itself.
  assert.match(await form.line.textContent(), /^curl -H "Authorization: Bearer \$TOKEN" -d 'hello' /)
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage) + document.cookie), '{}')

  // Who closes the field is left alone.
  const toggle = page.getByRole('button', { name: 'Access token' })
  await page.evaluate(() => sessionStorage.clear())
  await page.reload()
  await page.getByRole('alert').getByText('Send a token.').waitFor()
  await toggle.click()
  await page.waitForResponse(/\/topics/)
  assert.ok(await page.locator('#token').isHidden())

  await toggle.click()
  await field.fill('secret')
  await field.press('Enter')
  await page.reload()
  await connection(page, 'open')
  await shows(page, 'hello')
  await toggle.click()
  await page.getByRole('button', { name: 'Forget' }).click()
  await page.getByRole('alert').getByText('Send a token.').waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('figures are drawn, and go on after a restart', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const figure = title => page.locator('.figure').filter({ hasText: title })
  const value = async (title, pattern) => figure(title).locator('.now').filter({ hasText: pattern }).waitFor()
  await value('Subscribers', /^1\s*$/)
  await value('Published', /^0\s*\/s$/)
  await follow(page, 'news')
  await value('Subscribers', /^2\s*$/)
  await publishBatch(server, Array.from({ length: 1000 }, (_, data) => ({ topic: 'news', data })))
  await value('Events in the log', /^1,000\s*$/)
  await value('Topics', /^1\s*$/)
  for (const rate of ['Published', 'Delivered']) {
    await figure(rate).locator('.aside').filter({ hasText: /^[\d.]+ – (\d{3}|1,\d{3})$/ }).waitFor()
  }

  const pictures = () => page.$$eval('.figure:not([hidden]) canvas', charts => charts.map(chart => chart.toDataURL()))
  const before = await pictures()
  assert.equal(before.length, 8)
  await restart(t, server, { whileDown: () => connection(page, 'lost') })
  await connection(page, 'open', /again/)
  await value('Events in the log', /^0\s*$/)
  assert.notDeepEqual(await pictures(), before)
})

test('a page that is opened later has the last minutes at once', async t => {
  const server = await start(t, 'hub')
  const first = await openHub(t, server.url)
  await publish(server, 'news', 'hello')
  const aside = page => page.locator('.figure').filter({ hasText: 'Events in the log' }).locator('.aside')
  await aside(first).getByText('0 – 1').waitFor()
  const second = await openHub(t, server.url)
  await aside(second).getByText('0 – 1').waitFor()
})

test('a page that is hidden for long does without its figures until it is seen again', async t => {
  const server = await start(t, 'hub')
  const page = await open(t, 'about:blank')
  await page.clock.install()
  await page.goto(server.url)
  await connection(page, 'open')
  const hide = hidden =>
    page.evaluate(hidden => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  const subscribers = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text()
    return Number(text.match(/^fanfare_subscribers (\d+)$/m)[1])
  }
  assert.equal(await subscribers(), 1)
  await hide(true)
  await page.clock.runFor(61_000)
  while ((await subscribers()) > 0) await new Promise(done => setImmediate(done))
  await hide(false)
  await connection(page, 'open', /^Connected$/)
  assert.equal(await subscribers(), 1)
})

test('light and dark', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await page.locator('.figure .now').first().filter({ hasText: '1' }).waitFor()
  const grounds = () =>
    page.evaluate(() => ['body', '.card'].map(one => getComputedStyle(document.querySelector(one)).backgroundColor))
  /** Waits until the line of the first chart has this color. */
  const isDrawn = color =>
    until(
      page,
      color => {
        const canvas = document.querySelector('canvas')
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        for (let at = 0; at < data.length; at += 4) {
          if (data[at + 3] === 255 && color.every((part, index) => Math.abs(data[at + index] - part) < 8)) return true
        }
        return false
      },
      color,
    )
  assert.deepEqual(await grounds(), ['rgb(244, 245, 250)', 'rgb(255, 255, 255)'])
  await isDrawn([0x6a, 0x4d, 0xf5])
  await page.emulateMedia({ colorScheme: 'dark' })
  assert.deepEqual(await grounds(), ['rgb(11, 13, 19)', 'rgb(20, 24, 34)'])
  await isDrawn([0xa5, 0x94, 0xff])
})

test('on a phone nothing is wider than the screen', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await page.setViewportSize(PHONE)
  const isNoWider = async () => {
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width)
  }
  await isNoWider()
  const long = 'long'.repeat(60)
  await post(server, `/sse/${long}?event=${'name'.repeat(50)}`, 'x'.repeat(1000))
  await publish(server, long, JSON.stringify({ [long]: [long, long] }))
  await follow(page, '*')
  await page.getByRole('button', { name: long }).waitFor()
  await page.locator('#events li').nth(1).waitFor()
  await publishing(page).topic.fill(long)
  await page.getByRole('button', { name: 'Access token' }).click()
  await isNoWider()
  await server.kill()
  await connection(page, 'lost')
  await isNoWider()
})

test('everything that can be used has a name', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await publish(server, 'news', 'hello')
  await follow(page, 'news')
  await page.getByRole('button', { name: 'Access token' }).click()
  const tree = await page.locator('body').ariaSnapshot()
  assert.doesNotMatch(tree, /- (button|textbox|combobox|searchbox|spinbutton|table|group)( \[.*\])?:?$/m)
  for (const live of ['#connection', '#follow-state', '#published']) {
    assert.equal(await page.locator(live).getAttribute('role'), 'status')
  }
})

test('nothing but the hub itself can add to the page', async t => {
  const server = await start(t, 'hub')
  const page = await open(t, server.url, { ignoreErrors: true })
  const violated = await page.evaluate(async () => {
    const violated = new Set()
    document.addEventListener('securitypolicyviolation', event => violated.add(event.effectiveDirective))
    const script = document.createElement('script')
    const image = document.createElement('img')
    image.src = 'data:,'
    document.body.setAttribute('style', 'color: red')
    document.body.append(image)
    for (const unsafe of [() => (script.text = '1'), () => (document.body.innerHTML += '<p>')]) {
      try {
        unsafe()
      } catch {
        // As it should be.
      }
    }
    await fetch('http://127.0.0.2:1/').catch(() => {})
    while (violated.size < 4) await new Promise(done => setTimeout(done))
    return [...violated].toSorted()
  })
  assert.deepEqual(violated, ['connect-src', 'img-src', 'require-trusted-types-for', 'style-src-attr'])
})

test('files of the page are asked for again, but sent once', async t => {
  const server = await start(t, 'hub')
  const types = {
    '': 'text/html',
    'page/page.js': 'text/javascript',
    'page/page.css': 'text/css',
    'page/icon.svg': 'image/svg+xml',
  }
  for (const [path, type] of Object.entries(types)) {
    const { status, headers } = await fetch(`${server.url}/${path}`)
    assert.equal(status, 200)
    assert.equal(headers.get('Content-Type').split(';')[0], type)
    assert.equal(headers.get('Cache-Control'), 'no-cache')
    assert.equal(headers.get('X-Content-Type-Options'), 'nosniff')
    assert.equal(headers.get('Referrer-Policy'), 'no-referrer')
    assert.match(headers.get('Content-Security-Policy'), /^default-src 'none'; /)
    const again = await fetch(`${server.url}/${path}`, { headers: { 'If-None-Match': headers.get('ETag') } })
    assert.equal(again.status, 304)
    assert.equal(again.headers.get('ETag'), headers.get('ETag'))
  }
  assert.equal((await fetch(`${server.url}/page/none.js`)).status, 404)
  assert.equal((await fetch(`${server.url}/`, { method: 'POST' })).status, 405)
  // Beside it are the routes of the program that the hub is part of.
  assert.equal(await (await fetch(`${server.url}/hello`)).text(), 'hello\n')
})
