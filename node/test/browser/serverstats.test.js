// Live figures in a browser: the example of sse.js, of whose program only a path is changed, and our own.

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

import { connection, open, until, useBrowser } from '../../../tests/browser/browser.mjs'
import { start } from './program.js'

const TESTS = resolve(import.meta.dirname, '..')
const PACKAGE = resolve(TESTS, '..')
const ORIGINAL = join(TESTS, 'node_modules/original/example/serverstats')

/** What Express had when the example was written; any free port is taken instead of 8080. */
const EXPRESS_OF_THEN = `
  const express = require(${JSON.stringify(join(TESTS, 'node_modules/express'))})
  const http = require('http')
  module.exports = Object.assign((...args) => express(...args), express, {
    createServer() {
      const app = express()
      const server = http.createServer(app)
      const listen = () => http.Server.prototype.listen.call(server, 0, '127.0.0.1', () =>
        console.log('listening on http://127.0.0.1:' + server.address().port))
      return Object.assign(server, { use: (...args) => app.use(...args), listen })
    },
  })`

useBrowser()

/** The original's example, with ours in its place. */
async function originalExample(t) {
  const folder = await mkdtemp(join(tmpdir(), 'serverstats-'))
  t.after(() => rm(folder, { recursive: true }))
  await cp(ORIGINAL, folder, { recursive: true })
  await mkdir(join(folder, 'node_modules'))
  await writeFile(join(folder, 'node_modules/express.js'), EXPRESS_OF_THEN)
  const program = await readFile(join(folder, 'server.js'), 'utf8')
  assert.ok(program.includes("require('../../')"))
  await writeFile(join(folder, 'server.js'), program.replace("require('../../')", `require(${JSON.stringify(PACKAGE)})`))
  return start(t, join(folder, 'server.js'))
}

test('the example of sse.js runs with our package', async t => {
  const server = await originalExample(t)
  const page = await open(t, server.url)
  const figures = () => page.locator('div').allInnerTexts()
  await until(page, () => /^\d{7,}$/.test(document.querySelector('div#rss').innerText))
  const before = await figures()
  assert.equal(before.length, 3)
  for (const figure of before) assert.match(figure, /^\d+$/)
  await until(page, old => document.querySelector('div#heapUsed').innerText !== old, before[2])
  await page.close()
  await server.says('stopping client interval')
  assert.equal(server.errors, '')
})

test('our example shows figures that change, and survives its page', async t => {
  const server = await start(t, join(PACKAGE, 'examples/serverstats/server.js'))
  const page = await open(t, server.url)
  await connection(page, 'open', /^Connected$/)
  await until(page, () => Number(document.getElementById('events').textContent.replace(/\D/g, '')) > 10)
  assert.equal(await page.locator('#streams').innerText(), '1')
  const [cpu, resident] = await page.locator('.now').allInnerTexts()
  assert.match(cpu, /^\d+\.\d\s%$/)
  assert.match(resident, /^[1-9]\d*\.\d\sMiB$/)
  await page.getByRole('button', { name: 'work' }).click()
  const again = await page.evaluate(() => fetch('/work', { method: 'POST' }).then(answer => answer.status))
  assert.equal(again, 429)
  await page.close()
  await server.says('stopping client interval')
})

test('our example ends with open streams, and the page notices', async t => {
  const server = await start(t, join(PACKAGE, 'examples/serverstats/server.js'))
  const page = await open(t, server.url)
  await connection(page, 'open')
  assert.deepEqual(await server.stop('SIGTERM'), { status: 0, signal: null })
  await connection(page, 'lost')
  assert.equal(server.errors, '')
})
