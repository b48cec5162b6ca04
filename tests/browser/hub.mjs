// What tests of the hub's page do with it.

import assert from 'node:assert/strict'

import { open, until } from './browser.mjs'

/** A page of the hub at `url`. What its policy has to forbid fails the test. */
export async function openHub(t, url) {
  const page = await open(t, 'about:blank')
  const forbidden = []
  page.on('console', message => {
    if (/Content Security Policy|Trusted ?(HTML|Script|Type)/i.test(message.text())) forbidden.push(message.text())
  })
  t.after(() => assert.deepEqual(forbidden, []))
  await page.goto(url)
  return page
}

export async function post(server, target, body, headers = {}) {
  const response = await fetch(`${server.url}${target}`, { method: 'POST', body, headers })
  assert.equal(response.status, 200, await response.clone().text())
  return (await response.json()).id
}

/** Publishes each of `data`, one after the other, and gives their ids. */
export async function publish(server, topic, ...data) {
  const ids = []
  for (const one of data) ids.push(await post(server, `/sse/${topic}`, one))
  return ids
}

/** Publishes all lines in one request. */
export async function publishBatch(server, lines) {
  const body = lines.map(line => JSON.stringify(line)).join('\n')
  await post(server, '/sse', body, { 'Content-Type': 'application/x-ndjson' })
}

/** Has the page follow a topic from its oldest event on. */
export async function follow(page, topic, { from = 'earliest', last } = {}) {
  await page.getByLabel('Begin with').selectOption(from)
  if (last !== undefined) await page.getByLabel('Events', { exact: true }).fill(`${last}`)
  await page.getByLabel('Topic or pattern').fill(topic)
  await page.getByRole('button', { name: 'Follow', exact: true }).click()
  await followed(page, 'open')
}

export async function followed(page, state, text = /./) {
  await page.locator(`#follow-state[data-state="${state}"]`).filter({ hasText: text }).waitFor()
}

/** Waits until the newest event is the last of `data`, then compares all; the oldest first. */
export async function shows(page, ...data) {
  await until(page, newest => document.querySelector('#events .data')?.textContent === newest, data.at(-1))
  assert.deepEqual((await page.locator('#events .data').allTextContents()).toReversed(), data)
}

export function part(page, className) {
  return page.locator(`#events .${className}`).allTextContents()
}

export function publishing(page) {
  const form = page.locator('#publish')
  return {
    topic: form.getByLabel('Topic'),
    event: form.getByLabel('Event name'),
    data: form.getByLabel('Data'),
    button: form.getByRole('button', { name: 'Publish', exact: true }),
    outcome: page.locator('#published'),
    line: form.locator('.command code'),
  }
}
