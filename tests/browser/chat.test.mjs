import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { connection, open, until, useBrowser } from './browser.mjs'
import { restart, start } from './example.mjs'
import { proxy } from './proxy.mjs'

useBrowser()

async function post(server, body, room = 'lobby') {
  const headers = { 'Content-Type': 'application/json' }
  return fetch(`${server.url}/rooms/${room}/messages`, { method: 'POST', headers, body })
}

async function say(server, ...texts) {
  for (const text of texts) {
    const response = await post(server, JSON.stringify({ name: 'Grace', text }))
    assert.equal(response.status, 201)
  }
}

/** Has the page say something. */
async function type(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

/** Waits until the last of `texts` is on the page, then compares all. */
async function shows(page, texts) {
  await page.locator('#messages .text').getByText(texts.at(-1), { exact: true }).first().waitFor()
  assert.deepEqual(await page.locator('#messages .text').allTextContents(), texts)
}

/** The name of a file that holds `content`, or is not there yet. */
async function chatFile(t, content) {
  const folder = await mkdtemp(join(tmpdir(), 'chat-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'messages.jsonl')
  if (content !== undefined) await writeFile(file, content)
  return file
}

/** A line of that file. */
function record(text, id, name = 'Ada') {
  return JSON.stringify({ room: 'lobby', id, name, text }) + '\n'
}

test('two pages talk, and a newcomer sees what was said before', async t => {
  const server = await start(t, 'chat')
  const ada = await open(t, server.url)
  await connection(ada, 'open')
  await type(ada, 'is anybody here?')
  await shows(ada, ['is anybody here?'])

  const grace = await open(t, server.url)
  await shows(grace, ['is anybody here?'])
  await type(grace, 'I am')
  await shows(ada, ['is anybody here?', 'I am'])
  await shows(grace, ['is anybody here?', 'I am'])
})

test('a newcomer sees the last fifty messages', async t => {
  const server = await start(t, 'chat')
  const texts = Array.from({ length: 60 }, (_, index) => `message ${index}`)
  await say(server, ...texts)
  const page = await open(t, server.url)
  await shows(page, texts.slice(10))
})

test('a page says who is in the room', async t => {
  const server = await start(t, 'chat')
  const ada = await open(t, server.url)
  await ada.getByLabel('Your name').fill('Ada')
  await ada.getByLabel('Message', { exact: true }).focus()
  await ada.getByText('Here: Ada', { exact: true }).waitFor()

  const grace = await open(t, server.url)
  await grace.getByLabel('Your name').fill('Grace')
  await grace.getByLabel('Message', { exact: true }).focus()
  await ada.getByText('Here: Ada, Grace', { exact: true }).waitFor()
  await grace.getByText('Here: Ada, Grace', { exact: true }).waitFor()

  await grace.getByRole('link', { name: 'rust' }).click()
  await ada.getByText('Here: Ada', { exact: true }).waitFor()
  await grace.getByText('Here: Grace', { exact: true }).waitFor()
})

test('rooms are separate', async t => {
  const server = await start(t, 'chat')
  const lobby = await open(t, server.url)
  const music = await open(t, `${server.url}/#music`)
  await connection(lobby, 'open')
  await connection(music, 'open')
  await type(music, 'la la la')
  await shows(music, ['la la la'])
  await type(lobby, 'hello')
  await shows(lobby, ['hello'])

  await lobby.getByRole('link', { name: 'music' }).click()
  await shows(lobby, ['la la la'])
  await lobby.getByRole('link', { name: 'lobby' }).click()
  await shows(lobby, ['hello'])
})

test('nothing is missing or doubled when the server is stopped and started again', async t => {
  const server = await start(t, 'chat', { env: { CHAT_FILE: await chatFile(t) } })
  const page = await open(t, server.url)
  await connection(page, 'open')
  await say(server, 'one', 'two')
  await shows(page, ['one', 'two'])

  const again = await restart(t, server, { whileDown: () => connection(page, 'lost') })
  await say(again, 'three', 'four')
  await connection(page, 'open', /Connected again/)
  await say(again, 'five')
  await shows(page, ['one', 'two', 'three', 'four', 'five'])
  assert.equal(await page.locator('.gap').count(), 0)

  const newcomer = await open(t, server.url)
  await shows(newcomer, ['one', 'two', 'three', 'four', 'five'])
})

test('nothing is lost when the server is killed', async t => {
  const server = await start(t, 'chat', { env: { CHAT_FILE: await chatFile(t) } })
  const page = await open(t, server.url)
  await connection(page, 'open')
  await say(server, 'one', 'two')
  await server.kill()
  await connection(page, 'lost')

  const again = await restart(t, server)
  await say(again, 'three')
  await shows(page, ['one', 'two', 'three'])
})

test('a server that has lost the newest message says so, and nothing is doubled', async t => {
  const CHAT_FILE = await chatFile(t)
  const server = await start(t, 'chat', { env: { CHAT_FILE } })
  const page = await open(t, server.url)
  await connection(page, 'open')
  await say(server, 'one', 'two', 'three')
  await shows(page, ['one', 'two', 'three'])

  const again = await restart(t, server, {
    async whileDown() {
      await connection(page, 'lost')
      // As after a power cut: the end of the last line never reached the disk.
      const lines = await readFile(CHAT_FILE, 'utf8')
      await writeFile(CHAT_FILE, lines.slice(0, -10))
    },
  })
  await page.getByText('Some messages may be missing here.').waitFor()
  await say(again, 'four')
  await shows(page, ['one', 'two', 'three', 'four'])

  const newcomer = await open(t, server.url)
  await shows(newcomer, ['one', 'two', 'four'])
})

test('a file that is cut off in the middle of a character', async t => {
  const whole = Buffer.from(record('one', 5) + record('café', 6))
  const CHAT_FILE = await chatFile(t, whole.subarray(0, whole.indexOf('é') + 1))
  const server = await start(t, 'chat', { env: { CHAT_FILE } })
  await say(server, 'two')
  const again = await restart(t, server)
  const page = await open(t, again.url)
  await shows(page, ['one', 'two'])
})

test('lines of the file that are no messages are passed over', async t => {
  const beyond = record('beyond', 0).replace('"id":0', '"id":18446744073709551615')
  const lines = [record('one', 5), beyond, record('nobody', 7, ''), '{}\n', '\0\xff\n', '\n', record('two', 8)]
  const CHAT_FILE = await chatFile(t, lines.join(''))
  const server = await start(t, 'chat', { env: { CHAT_FILE } })
  const page = await open(t, server.url)
  await say(server, 'three')
  await shows(page, ['one', 'two', 'three'])
})

test('what a full disk cut off spoils no other message', async t => {
  const CHAT_FILE = await chatFile(t)
  // The file can grow to one block.
  const shell = "trap '' XFSZ; ulimit -S -f 1"
  const server = await start(t, 'chat', { env: { CHAT_FILE }, shell })
  await say(server, 'one')
  const refused = await post(server, JSON.stringify({ name: 'Grace', text: 'x'.repeat(1000) }))
  assert.equal(refused.status, 500)
  assert.equal(await refused.text(), 'the message could not be kept\n')

  execFileSync('prlimit', ['--pid', server.child.pid, '--fsize=unlimited:'])
  await say(server, 'two', 'three')
  const again = await restart(t, server)
  assert.match(server.errors, /^cannot write a message down: .*\n$/)
  const page = await open(t, again.url)
  await shows(page, ['one', 'two', 'three'])
})

test('a server without a memory says that messages may be missing', async t => {
  const server = await start(t, 'chat')
  const page = await open(t, server.url)
  await connection(page, 'open')
  await say(server, 'one', 'two')
  await shows(page, ['one', 'two'])

  const again = await restart(t, server, { whileDown: () => connection(page, 'lost') })
  await say(again, 'three')
  await shows(page, ['one', 'two', 'three'])
  const items = await page.locator('#messages li').allInnerTexts()
  assert.equal(items[2], 'Some messages may be missing here: the server keeps messages in memory only.')
  assert.equal(items.length, 4)
})

test('after a cut the page goes on where it was', async t => {
  const server = await start(t, 'chat')
  const tunnel = await proxy(t, server.port)
  const page = await open(t, tunnel.url)
  await connection(page, 'open')

  const texts = []
  for (const round of ['first', 'second', 'third']) {
    texts.push(`${round} before`)
    await say(server, `${round} before`)
    await shows(page, texts)
    tunnel.cut()
    await connection(page, 'lost')
    texts.push(`${round} during`, `${round} still`)
    await say(server, `${round} during`, `${round} still`)
    await connection(page, 'open', /Connected again/)
    texts.push(`${round} after`)
    await say(server, `${round} after`)
    await shows(page, texts)
  }
  assert.equal(await page.locator('.gap').count(), 0)
})

test('a name and a text with HTML are shown as text', async t => {
  const server = await start(t, 'chat')
  const page = await open(t, server.url)
  const attack = '<img src="/none" onerror="globalThis.attacked = 1"><script>attacked = 1</script>'
  const response = await post(server, JSON.stringify({ name: '<b>Eve</b>', text: attack }))
  assert.equal(response.status, 201)
  await shows(page, [attack])
  assert.equal(await page.locator('.who').evaluate(who => who.firstChild.data), '<b>Eve</b>')
  assert.equal(await page.locator('#messages :is(img, script, b)').count(), 0)
  assert.equal(await page.evaluate(() => globalThis.attacked), undefined)
})

test('an address that names no room leads to the lobby', async t => {
  const server = await start(t, 'chat')
  for (const address of ['#%E0%A4%A', '#cellar', '#']) {
    const page = await open(t, `${server.url}/${address}`)
    await connection(page, 'open')
    assert.equal(await page.locator('#room').textContent(), 'lobby')
    assert.equal(await page.locator('[aria-current]').textContent(), 'lobby')
  }
})

test('who takes their name away is a guest', async t => {
  const server = await start(t, 'chat')
  const page = await open(t, server.url)
  const guest = await page.getByLabel('Your name').inputValue()
  await page.getByLabel('Your name').fill('Ada')
  await page.getByLabel('Message', { exact: true }).focus()
  await page.getByText('Here: Ada', { exact: true }).waitFor()
  await page.getByLabel('Your name').fill(' ')
  await page.getByLabel('Message', { exact: true }).focus()
  await page.getByText(`Here: ${guest}`, { exact: true }).waitFor()
})

test('on a phone the name of a room is one line', async t => {
  const server = await start(t, 'chat')
  const page = await open(t, server.url)
  await page.setViewportSize({ width: 390, height: 844 })
  const lines = await page.locator('#rooms a').evaluateAll(links =>
    links.map(link => link.clientHeight / parseFloat(getComputedStyle(link).lineHeight)),
  )
  assert.equal(lines.length, 4)
  assert.ok(lines.every(count => count < 2), `${lines} lines`)
})

test('what cannot be said is refused with a reason, and the page says so', async t => {
  const server = await start(t, 'chat')
  const refused = async (body, status, reason, room) => {
    const response = await post(server, body, room)
    assert.equal(response.status, status)
    assert.match(await response.text(), reason)
  }
  const said = message => JSON.stringify({ name: 'Ada', text: 'hello', ...message })
  await refused(said({ text: '  ' }), 400, /1 to 1000 characters/)
  await refused(said({ text: 'x'.repeat(1001) }), 400, /1 to 1000 characters/)
  await refused(said({ name: '' }), 400, /1 to 24 characters/)
  await refused(said({ name: 'a\nb' }), 400, /one line/)
  await refused(said({ text: 'x'.repeat(20_000) }), 413, /limit/)
  await refused('{', 400, /JSON/)
  await refused('{"name":"Ada"}', 422, /missing field `text`/)
  await refused(said(), 404, /no such room/, 'cellar')

  const page = await open(t, server.url)
  await connection(page, 'open')
  await type(page, '   ')
  await page.getByText('Not sent: a message has 1 to 1000 characters').waitFor()
})

test('an EventSource hears each event under its name, keeps the last id, and obeys `retry`', async t => {
  const server = await start(t, 'chat')
  const tunnel = await proxy(t, server.port)
  const page = await open(t, `${tunnel.url}/shared.css`)
  await page.evaluate(() => {
    globalThis.heard = []
    globalThis.times = {}
    const source = new EventSource('/rooms/lobby/events?name=Ada')
    const hear = ({ type, data, lastEventId }) => heard.push({ type, data, id: lastEventId })
    source.addEventListener('message', hear)
    source.addEventListener('people', hear)
    source.onerror = () => (times.lost ??= performance.now())
    source.onopen = () => {
      if (times.lost) times.back = performance.now()
    }
  })
  await until(page, () => heard.some(({ type }) => type === 'people'))
  await say(server, 'hello')
  await until(page, () => heard.some(({ type }) => type === 'message'))

  tunnel.cut()
  await until(page, () => times.back && heard.at(-1).type === 'people')
  const { heard, times } = await page.evaluate(() => ({ heard, times }))
  assert.deepEqual(heard.map(({ type }) => type), ['people', 'message', 'people'])
  const [before, message, after] = heard
  assert.deepEqual(before, { type: 'people', data: '["Ada"]', id: '' })
  assert.equal(message.data, '{"name":"Grace","text":"hello"}')
  assert.match(message.id, /^\d+$/)
  assert.equal(after.id, message.id, 'an event without an id leaves the last one in force')

  const asked = tunnel.requests.filter(request => request.includes('/events'))
  assert.doesNotMatch(asked[0], /last-event-id/i)
  assert.match(asked[1], new RegExp(`last-event-id: ${message.id}\r\n`, 'i'))

  const retry = Number(/retry: ?(\d+)\n/.exec(tunnel.responses.join('\n'))[1])
  const waited = times.back - times.lost
  assert.ok(retry >= 1000 && retry <= 2000, `retry: ${retry}`)
  assert.ok(waited > retry - 50 && waited < 2900, `waited ${waited} ms, told to wait ${retry}`)
})
