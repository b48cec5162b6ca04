import assert from 'node:assert/strict'
import { test } from 'node:test'

import { connection, open, until, useBrowser } from './browser.mjs'
import { restart, start } from './example.mjs'

useBrowser()

/** Waits until the page has shown `more` events more than it has now. */
async function showsMore(page, more) {
  const shown = Number((await page.locator('#events').innerText()).replace(/\D/g, ''))
  await until(
    page,
    target => Number(document.getElementById('events').textContent.replace(/\D/g, '')) >= target,
    shown + more,
  )
}

test('figures change and charts are drawn anew', async t => {
  const server = await start(t, 'serverstats')
  const page = await open(t, server.url)
  await connection(page, 'open', /^Connected$/)
  await showsMore(page, 10)

  const pictures = await page.$$eval('canvas', charts => charts.map(chart => chart.toDataURL()))
  assert.equal(pictures.length, 4)
  await until(
    page,
    before => [...document.querySelectorAll('canvas')].every((chart, index) => chart.toDataURL() !== before[index]),
    pictures,
  )

  const figures = await page.locator('.now').allInnerTexts()
  assert.match(figures[0], /^\d+\.\d\s%$/)
  assert.match(figures[1], /^[1-9]\d*\.\d\sMiB$/)
  assert.equal(await page.locator('#streams').innerText(), '1')
})

test('ten events a second', async t => {
  const server = await start(t, 'serverstats')
  const page = await open(t, server.url)
  const seconds = await page.evaluate(
    events =>
      new Promise(done => {
        const times = []
        const source = new EventSource('/sse')
        source.onmessage = ({ timeStamp }) => {
          times.push(timeStamp)
          if (times.length <= events) return
          source.close()
          done((times.at(-1) - times[0]) / 1000)
        }
      }),
    30,
  )
  const rate = 30 / seconds
  assert.ok(rate > 8 && rate < 11, `${rate} events a second`)
})

test('work on demand shows in the figures', async t => {
  const server = await start(t, 'serverstats')
  const page = await open(t, server.url)
  await page.getByRole('button', { name: 'work' }).click()
  await until(page, () => parseFloat(document.querySelectorAll('.most')[2].textContent) > 10)
  const again = await page.evaluate(() => fetch('/work', { method: 'POST' }).then(answer => answer.status))
  assert.equal(again, 429)
})

test('the timer of a client stops when it leaves', async t => {
  const server = await start(t, 'serverstats')
  const page = await open(t, server.url)
  await server.line('started client interval')
  assert.ok(!server.lines.includes('stopping client interval'))
  await page.close()
  await server.line('stopping client interval')

  const [one, another] = [await open(t, server.url), await open(t, server.url)]
  await server.line('started client interval', 3)
  await one.close()
  await server.line('stopping client interval', 2)
  await showsMore(another, 5)
})

test('when nobody reads what the server prints, the figures go on', async t => {
  const server = await start(t, 'serverstats')
  server.child.stdout.destroy()
  const page = await open(t, server.url)
  await showsMore(page, 10)
  assert.equal(server.errors, '')
})

test('a server that is stopped and started again is lost and found again', async t => {
  const server = await start(t, 'serverstats')
  const page = await open(t, server.url)
  await showsMore(page, 3)
  await restart(t, server, { whileDown: () => connection(page, 'lost', /Connection lost, trying again/) })
  await connection(page, 'open', /^Connected again after \d+\.\d s$/)
  await showsMore(page, 10)
})
