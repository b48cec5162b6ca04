// How a program gets hold of the package.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'

import { oursOnly } from '../support/subject.js'

const PACKAGE = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

/** What a program says that is written to a file of this name, beside an installed package. */
async function says(t, name, program, env = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sse-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'node_modules'))
  await symlink(PACKAGE, join(folder, 'node_modules/sse'))
  await writeFile(join(folder, name), program)
  const { stdout, stderr } = await run(process.execPath, [join(folder, name)], { env: { ...process.env, ...env } })
  return stdout + stderr
}

suite('the package', { concurrency: true, ...oursOnly }, () => {
  test('is the class, for require', async t => {
    const said = await says(t, 'a.cjs', `const SSE = require('sse'); console.log(typeof SSE, typeof SSE.Client)`)
    assert.equal(said, 'function function\n')
  })

  test('is the same class for import', async t => {
    const program = `
      import SSE, { Client } from 'sse'
      import { createRequire } from 'node:module'
      console.log(SSE === createRequire(import.meta.url)('sse'), Client === SSE.Client)`
    assert.equal(await says(t, 'a.mjs', program), 'true true\n')
  })

  test('does without the addon', async t => {
    const program = `console.log(require('sse').native)`
    assert.equal(await says(t, 'a.cjs', program, { SSE_FALLBACK: '1' }), 'false\n')
  })

  test('lets a program end by itself', async t => {
    const program = `
      const SSE = require('sse'), http = require('http')
      const server = http.createServer()
      const sse = new SSE(server, { keepAlive: 15_000, retry: 1000 })
      sse.channel('news')
      sse.on('connection', async client => {
        client.send('one')
        await sse.close()
        server.close()
      })
      server.listen(0, '127.0.0.1', () => http.get({ host: '127.0.0.1', port: server.address().port, path: '/sse', agent: false },
        response => response.resume()))`
    assert.equal(await says(t, 'a.cjs', program), '')
  })

  test('changes nothing that is not its own', async t => {
    const program = `
      const http = require('http'), net = require('net')
      const keys = () => [globalThis, RegExp, http, http.ServerResponse.prototype, net.Socket.prototype].flatMap(Reflect.ownKeys).map(String).join()
      const before = keys()
      require('sse')
      console.log(before === keys())`
    assert.equal(await says(t, 'a.cjs', program), 'true\n')
  })
})
