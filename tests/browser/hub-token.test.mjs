// The page of a hub that asks for tokens.

import { createHmac } from 'node:crypto'
import { test } from 'node:test'

import { connection, useBrowser } from './browser.mjs'
import { start } from './example.mjs'
import { follow, followed, openHub, post, shows } from './hub.mjs'

useBrowser()

const SECRET = 'a secret of thirty-two bytes or more'
/** By so much the hub takes a token too late. */
const LEEWAY_SECONDS = 30

function token(fanfare, seconds) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Date.now() / 1000 + seconds - LEEWAY_SECONDS
  const message = `${part({ alg: 'HS256' })}.${part({ exp, fanfare })}`
  return `${message}.${createHmac('sha256', SECRET).update(message).digest('base64url')}`
}

async function use(page, text) {
  const field = page.getByLabel('Access token', { exact: true }).and(page.locator('input'))
  await field.fill(text)
  await field.press('Enter')
}

test('a stream ends with its token, and goes on with the next', async t => {
  const server = await start(t, 'hub', { env: { SECRET } })
  const publisher = { Authorization: `Bearer ${token({ publish: ['news'] }, 600)}` }
  const page = await openHub(t, server.url)
  await page.getByRole('alert').getByText('takes a token').waitFor()
  await use(page, token({ subscribe: ['*'], admin: true }, 3))
  await connection(page, 'open')
  await post(server, '/sse/news', 'before', publisher)
  await follow(page, 'news')
  await shows(page, 'before')

  await page.locator('#events').getByText('The token has expired here.').waitFor()
  await page.getByRole('alert').getByText('The token has expired').waitFor()
  await post(server, '/sse/news', 'between', publisher)
  await use(page, token({ subscribe: ['*'], admin: true }, 600))
  await connection(page, 'open')
  await followed(page, 'open')
  await shows(page, 'before', 'between')
})
