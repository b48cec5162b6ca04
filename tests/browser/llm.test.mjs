import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { connection, open, useBrowser } from './browser.mjs'
import { restart, start } from './example.mjs'
import { proxy } from './proxy.mjs'

useBrowser()

const QUESTION = 'What happens when the connection breaks?'

/** The whole answer, as a program reads it. */
async function wholeAnswer(server) {
  const url = `${server.url}/answers/whole?question=${encodeURIComponent(QUESTION)}`
  let wire = ''
  for await (const text of (await fetch(url)).body.pipeThrough(new TextDecoderStream())) wire += text
  const words = wire.split('\n\n').filter(block => /^id: \d/m.test(block))
  return words.map(word => word.match(/(?<=^data: ).*/gm).join('\n')).join('')
}

async function ask(page) {
  await page.getByRole('button', { name: QUESTION }).click()
  // Notes when the answer begins anew.
  await page.evaluate(() => {
    globalThis.setbacks = []
    let last = 0
    const progress = document.getElementById('progress')
    new MutationObserver(() => {
      const now = parseInt(progress.textContent) || 0
      if (now < last) setbacks.push([last, now])
      last = now
    }).observe(progress, { childList: true })
  })
}

const setbacks = page => page.evaluate(() => globalThis.setbacks)

async function isWhole(page, expected) {
  await page.getByText(', complete').waitFor()
  assert.equal(await page.locator('#answer').textContent(), await expected)
}

const word = number => `id: ${number}\n`

/** The streams of the answer: the id that each went on from, and whether it got to the end. */
function streams({ requests, responses }) {
  const all = requests.map((request, index) => ({ request, response: responses[index] }))
  return all
    .filter(({ request }) => request.includes('GET /answers/'))
    .map(({ request, response }) => ({
      after: /^last-event-id: (.*)\r$/im.exec(request)?.[1],
      done: response.includes('event: done'),
    }))
}

suite('the answer is whole, each word once', { concurrency: true }, () => {
  test('when nothing happens', async t => {
    const server = await start(t, 'llm')
    const page = await open(t, server.url)
    await ask(page)
    await isWhole(page, wholeAnswer(server))
  })

  test('when the page is loaded again', async t => {
    const server = await start(t, 'llm')
    const tunnel = await proxy(t, server.port)
    const page = await open(t, tunnel.url)
    const expected = wholeAnswer(server)
    const hasBegun = tunnel.passes(word(40))
    await ask(page)
    await hasBegun
    await page.reload()
    await isWhole(page, expected)
    assert.deepEqual(streams(tunnel).map(({ done }) => done).toSorted(), [false, true])

    await page.reload()
    await isWhole(page, expected)
  })

  test('when the connection is cut', async t => {
    const server = await start(t, 'llm')
    const tunnel = await proxy(t, server.port)
    const page = await open(t, tunnel.url)
    const expected = wholeAnswer(server)
    for (const number of [20, 100, 180]) tunnel.passes(word(number)).then(() => tunnel.cut())
    await ask(page)
    await isWhole(page, expected)
    assert.deepEqual(await setbacks(page), [])
    const resumed = streams(tunnel).slice(1)
    assert.equal(resumed.length, 3)
    assert.ok(resumed.every(({ after }) => Number(after) > 0))
  })

  test('when the server is stopped and started again', async t => {
    const server = await start(t, 'llm')
    const tunnel = await proxy(t, server.port)
    const page = await open(t, tunnel.url)
    const hasBegun = tunnel.passes(word(60))
    await ask(page)
    await hasBegun
    const again = await restart(t, server, { whileDown: () => connection(page, 'lost') })
    await isWhole(page, wholeAnswer(again))
    assert.deepEqual(await setbacks(page), [])
    assert.ok(Number(streams(tunnel).at(-1).after) >= 60)
  })

  test('when the server is killed, and the page loaded again before it is back', async t => {
    const server = await start(t, 'llm')
    const tunnel = await proxy(t, server.port)
    const page = await open(t, tunnel.url)
    const hasBegun = tunnel.passes(word(60))
    await ask(page)
    await hasBegun
    await server.kill()
    await connection(page, 'lost')
    const again = await restart(t, server)
    await page.reload()
    await isWhole(page, wholeAnswer(again))
  })
})

test('the page counts words, and tells of the connection while there is one', async t => {
  const server = await start(t, 'llm')
  const page = await open(t, server.url)
  const badge = page.locator('#connection')
  assert.equal(await badge.isVisible(), false)
  await ask(page)
  await badge.getByText('Connected').waitFor()
  await page.getByText(', complete').waitFor()
  assert.equal(await badge.isVisible(), false)
  const words = (await page.locator('#answer').textContent()).trim().split(/\s+/).length
  assert.equal(await page.locator('#progress').textContent(), `${words} words, complete`)
})

test('a client that has the whole answer is told to stop asking', async t => {
  const server = await start(t, 'llm')
  const headers = { 'Last-Event-ID': 'done' }
  const response = await fetch(`${server.url}/answers/any?question=any`, { headers })
  assert.equal(response.status, 204)
})

test('a question that is too long is refused', async t => {
  const server = await start(t, 'llm')
  const response = await fetch(`${server.url}/answers/any?question=${'x'.repeat(2001)}`)
  assert.equal(response.status, 400)
  assert.match(await response.text(), /too long/)
})
