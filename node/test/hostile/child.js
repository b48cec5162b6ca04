// The server of server.js, from outside.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const FLAGS = ['--expose-gc', '--unhandled-rejections=strict', '--max-semi-space-size=1']

export async function child(t) {
  const server = new Child()
  t.after(() => server.kill())
  server.port = await server.told('listen')
  return server
}

class Child {
  errors = ''

  constructor() {
    const options = { execArgv: FLAGS, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] }
    this.process = fork(fileURLToPath(new URL('server.js', import.meta.url)), options)
    this.process.stderr.setEncoding('utf8').on('data', text => (this.errors += text))
    this.exit = once(this.process, 'close').then(([status, signal]) => ({ status, signal }))
  }

  /** Has it do something, and gives the result. */
  async order(order, details) {
    const result = this.told(order)
    this.process.send({ order, ...details })
    return result
  }

  async told(order) {
    for (;;) {
      const message = await Promise.race([once(this.process, 'message'), this.exit])
      assert.ok(Array.isArray(message), `the server has ended: ${this.errors}`)
      if (message[0].done === order) return message[0].result
    }
  }

  /** Has it end by itself, which it must be able to, without a word of complaint. */
  async end(options) {
    this.process.send({ order: 'shutDown', ...options })
    assert.deepEqual(await this.exit, { status: 0, signal: null })
    assert.equal(this.errors, '')
  }

  async kill() {
    this.process.kill('SIGKILL')
    await this.exit
  }
}
