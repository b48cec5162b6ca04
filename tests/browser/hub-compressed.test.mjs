// Streams that are compressed once for all subscribers, as the browser decodes them.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { open, until, useBrowser } from './browser.mjs'
import { serve } from './example.mjs'
import { post } from './hub.mjs'

useBrowser()

const LONG = JSON.stringify(Array.from({ length: 50 }, (_, at) => ({ at, side: 'buy', text: 'again and again' })))

for (const coding of ['gzip', 'br', 'zstd']) {
  test(`each event can be read at once in ${coding}`, async t => {
    const hub = await serve(t, '--set', `http.compression=${coding}`, '--set', 'http.keep_alive=200ms')
    const page = await open(t, hub.url)
    const failed = []
    page.on('requestfailed', request => failed.push(`${request.url()}: ${request.failure().errorText}`))
    const answer = page.waitForResponse(response => response.url().includes('/sse/news'))
    await page.evaluate(() => {
      window.given = []
      window.source = new EventSource('/sse/news')
      source.onmessage = ({ data }) => given.push(data)
    })
    assert.equal((await answer).headers()['content-encoding'], coding)
    await until(page, () => source.readyState === EventSource.OPEN)

    const published = []
    for (const data of [LONG, 'short', `${LONG}!`, 'short', LONG.repeat(50)]) {
      await post(hub, '/sse/news', data)
      published.push(data)
      await until(page, count => given.length === count, published.length)
    }
    // Silences are broken in the coding, too.
    await page.evaluate(() => {
      window.text = ''
      window.whole = fetch('/sse/news').then(async ({ body }) => {
        for await (const part of body.pipeThrough(new TextDecoderStream())) text += part
        return true
      })
    })
    await until(page, () => text.split('\n:\n').length > 2)
    await post(hub, '/sse/news?end=true', 'the last')
    assert.ok(await page.evaluate(() => whole))
    assert.match(await page.evaluate(() => text), /^data: the last$/m)
    await until(page, () => source.readyState === EventSource.CLOSED)
    assert.deepEqual(await page.evaluate(() => given), [...published, 'the last'])
    assert.deepEqual(failed, [])
  })
}
