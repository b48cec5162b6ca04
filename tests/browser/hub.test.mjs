// Publishing, topics and events on the hub's own page, as `examples/hub.rs` serves it.

import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { connection, until, useBrowser } from './browser.mjs'
import { start } from './example.mjs'
import { follow, openHub, part, post, publish, publishBatch, publishing, shows } from './hub.mjs'

useBrowser()

const shell = promisify(execFile)

test('what is published on the page is followed on it', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await connection(page, 'open', /^Connected$/)
  await follow(page, 'news')
  const form = publishing(page)
  // Who follows a topic is likely to publish to it.
  assert.equal(await form.topic.inputValue(), 'news')

  await form.data.fill('first\nand its second line')
  await form.button.click()
  await shows(page, 'first\nand its second line')
  assert.deepEqual(await part(page, 'name'), ['message'])
  const [id] = await part(page, 'id')
  assert.match(id, /^[0-9a-z]{8}-1$/)
  assert.equal(await form.outcome.textContent(), `Published as ${id}`)

  await form.event.fill('greeting')
  await form.data.fill('second')
  await form.data.press('Control+Enter')
  await shows(page, 'first\nand its second line', 'second')
  assert.deepEqual(await part(page, 'name'), ['greeting', 'message'])
  assert.equal(await page.locator('#event-count').textContent(), '2')
})

test('what cannot be published is said in the words of the hub', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const form = publishing(page)
  await form.topic.fill('news*')
  await form.button.click()
  await form.outcome.getByText('Not published: a trailing * selects many topics').waitFor()
  await form.topic.fill('$stats')
  await form.button.click()
  await form.outcome.getByText("Not published: $stats is the hub's own").waitFor()
  // No token would help.
  assert.ok(await page.locator('#token').isHidden())

  await server.kill()
  await form.topic.fill('news')
  await form.button.click()
  await form.outcome.getByText('Not published: the hub cannot be reached').waitFor()
})

test('events are shown with their names, times and ids, and JSON in lines', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const order = '{"order":12345678901234567890,"order":1.0,"text":"{\\"a\\": [1]}","none":{},"list":[]}'
  const deep = JSON.stringify({ name: 'n'.repeat(40), lines: [{ sku: 'A-1', count: 2 }, { sku: 'B-2', count: 1 }] })
  await post(server, '/sse/orders?event=created', order)
  await publish(server, 'orders', deep, '{"no": json', '')
  const before = Date.now()
  await follow(page, 'orders')
  // Neither digits nor a name that is there twice get lost.
  const inOneLine =
    '{\n  "order": 12345678901234567890,\n  "order": 1.0,\n  "text": "{\\"a\\": [1]}",\n  "none": {},\n  "list": []\n}'
  const inLines =
    `{\n  "name": "${'n'.repeat(40)}",\n` +
    '  "lines": [{ "sku": "A-1", "count": 2 }, { "sku": "B-2", "count": 1 }]\n}'
  await shows(page, inOneLine, inLines, '{"no": json', 'no data')
  assert.deepEqual(await part(page, 'name'), ['message', 'message', 'message', 'created'])
  const times = await page.locator('#events time').evaluateAll(all => all.map(({ dateTime }) => Date.parse(dateTime)))
  assert.ok(times.every(time => time <= before && time > before - 60_000))
})

test('what the network says is text', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const attack = '<img src=x onerror="globalThis.attacked = 1"><script>attacked = 1</script>'
  await post(server, `/sse/${encodeURIComponent(attack)}?event=${encodeURIComponent('<b>name</b>')}`, attack)
  await follow(page, '*')
  await shows(page, attack)
  assert.deepEqual(await part(page, 'topic'), [attack])
  assert.deepEqual(await part(page, 'name'), ['<b>name</b>'])
  await page.getByRole('button', { name: attack }).waitFor()
  assert.equal(await page.locator('main :is(img, script, b)').count(), 0)
  assert.equal(await page.evaluate(() => globalThis.attacked), undefined)
})

test('names that would lead elsewhere in a path are followed', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const names = ['..', 'a/../b', '/a//b', '?a=b#c', '%2e', "it's & so on + ü"]
  await publishBatch(server, names.map(topic => ({ topic, data: `in ${topic}` })))
  for (const name of names) {
    await page.getByRole('button', { name, exact: true }).click()
    await shows(page, `in ${name}`)
  }
})

test('topics are listed, and followed with a key', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await page.getByText('No topics yet.').waitFor()
  await publish(server, 'news', 'hello')
  await post(server, '/sse/answer?end=true', 'over')
  const rows = page.locator('#topic-rows tr')
  await rows.getByText('answer').waitFor()
  assert.deepEqual(await rows.allInnerTexts(), ['answerended\t1\t4 B\t0', 'news\t1\t5 B\t0'])

  const button = page.getByRole('button', { name: 'news', exact: true })
  await button.focus()
  await page.keyboard.press('Enter')
  await shows(page, 'hello')
  await rows.filter({ hasText: 'news' }).getByText('1', { exact: true }).nth(1).waitFor()
  assert.equal(await button.getAttribute('aria-current'), 'true')
  // The table was drawn anew in the meantime.
  assert.ok(await button.evaluate(button => button === document.activeElement))
})

test('many topics are listed in pages, and filtered', async t => {
  const server = await start(t, 'hub')
  const named = number => `topic ${`${number}`.padStart(3, '0')}`
  await publishBatch(server, Array.from({ length: 250 }, (_, index) => ({ topic: named(index), data: '' })))
  const page = await openHub(t, server.url)
  const rows = page.locator('#topic-rows tr')
  const isPage = async (first, count) => {
    await rows.first().getByText(named(first)).waitFor()
    assert.equal(await rows.count(), count)
  }
  await isPage(0, 100)
  await page.getByRole('button', { name: 'Next' }).click()
  await isPage(100, 100)
  await page.getByRole('button', { name: 'Next' }).click()
  await isPage(200, 50)
  assert.ok(await page.getByRole('button', { name: 'Next' }).isDisabled())
  await page.getByRole('button', { name: 'Previous' }).click()
  await isPage(100, 100)

  const filter = page.getByLabel('Filter')
  await filter.fill('TOPIC 24')
  await isPage(240, 10)
  await filter.fill('nowhere')
  await page.getByText('No topic has that in its name.').waitFor()
  // More than a page is left.
  await filter.fill('topic')
  await isPage(0, 100)
  await page.getByRole('button', { name: 'Next' }).click()
  await isPage(100, 100)
})

test('long data is folded', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`)
  await publish(server, 'news', lines.join('\n'))
  await follow(page, 'news')
  await shows(page, `${lines.slice(0, 12).join('\n')}…`)
  await page.getByRole('button', { name: 'Show all of 389 B, 50 lines' }).click()
  await shows(page, lines.join('\n'))
  await page.getByRole('button', { name: 'Show less' }).click()
  await shows(page, `${lines.slice(0, 12).join('\n')}…`)

  await publish(server, 'one line', JSON.stringify(Array.from({ length: 3000 }, (_, index) => index)))
  await follow(page, 'one line')
  await page.getByRole('button', { name: 'Show all of 13.6 KiB' }).click()
  await until(page, () => document.querySelector('#events .data').textContent.endsWith('  2999\n]'))
})

test('the lines for a terminal do what the forms do', async t => {
  if (spawnSync('curl', ['--version']).error) return t.skip('there is no curl')
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  const form = publishing(page)
  const topics = ['news', 'a b/ü', "it's $HOME `x` \"y\" \\", '?#%/..']
  const data = ['hello', "it's\ntwo lines", '@file', '$HOME "$(x)" \\ % &']
  for (const [index, topic] of topics.entries()) {
    await form.topic.fill(topic)
    await form.event.fill(`named ${index}'s`)
    await form.data.fill(data[index])
    const line = await form.line.textContent()
    const { stdout } = await shell('/bin/sh', ['-c', `${line} --silent`], { timeout: 10_000 })
    assert.match(stdout, /^\{"id":/, line)
    await follow(page, topic)
    await shows(page, data[index])
    assert.deepEqual(await part(page, 'name'), [`named ${index}'s`])
  }

  const followLine = page.locator('#follow .command code')
  await follow(page, topics[2], { from: 'last', last: 1 })
  await reads(t, await followLine.textContent(), /^event: named 2's\nid: .*\ndata: @file\n/m)
  await follow(page, '*')
  await reads(t, await followLine.textContent(), /^data: \{"topic":"news","event":"named 0's","data":"hello",/m)
  await follow(page, 'news', { from: 'latest' })
  assert.equal(await followLine.textContent(), `curl -N '${server.url}/sse/news'`)
})

/** Runs a line until its output matches. */
async function reads(t, line, pattern) {
  const child = spawn('/bin/sh', ['-c', `exec ${line} --silent --max-time 10`])
  t.after(() => child.kill())
  let output = ''
  for await (const chunk of child.stdout) {
    output += chunk
    if (pattern.test(output)) break
  }
  child.kill()
  assert.match(output, pattern)
}

test('a line for a terminal is copied', async t => {
  const server = await start(t, 'hub')
  const page = await openHub(t, server.url)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await publishing(page).topic.fill('news')
  await publishing(page).data.fill('hi')
  await page.getByRole('button', { name: 'Copy the line that publishes' }).click()
  await page.getByRole('status').getByText('Copied').waitFor()
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `curl -d 'hi' '${server.url}/sse/news'`)
})
