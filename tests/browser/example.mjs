// An example, or the `fanfare` program, as a child process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = resolve(import.meta.dirname, '../..')
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target')
/** Where the programs are; `EXAMPLES` names another place. */
const EXAMPLES = process.env.EXAMPLES ?? join(TARGET, 'debug/examples')

/**
 * Starts an example; it takes a free port if none is given, and is stopped when the test ends. What
 * `shell` says is done first, in the same process.
 */
export async function start(test, name, { port = 0, env = {}, shell } = {}) {
  const example = new Example(name, { PORT: `${port}`, ...env }, shell)
  test.after(() => example.kill())
  await example.address()
  return example
}

/** Starts a hub by `fanfare serve` with these arguments; it is stopped when the test ends. */
export async function serve(test, ...args) {
  const path = join(TARGET, 'debug/fanfare')
  const hub = new Example(path, {}, ':', {}, ['serve', '--memory', '--listen', '127.0.0.1:0', ...args])
  test.after(() => hub.kill())
  await hub.address()
  return hub
}

/** Runs an example that is expected to end by itself; one that does not is told to. */
export async function run(name, env, shell) {
  const example = new Example(name, env, shell, { timeout: 30_000 })
  const { status } = await example.exit
  return { status, errors: example.errors }
}

class Example {
  lines = []
  errors = ''
  #waiting = new Set()

  constructor(name, env, shell = ':', options = {}, args = []) {
    const path = resolve(EXAMPLES, name)
    if (!existsSync(path)) throw new Error(`${path} is missing: make test-browser builds it`)
    this.name = name
    this.env = env
    this.child = spawn('/bin/sh', ['-c', `${shell}; exec "$0" "$@"`, path, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    })
    this.child.stderr.setEncoding('utf8').on('data', text => (this.errors += text))
    createInterface(this.child.stdout).on('line', line => {
      this.lines.push(line)
      for (const look of this.#waiting) look()
    })
    this.exit = once(this.child, 'close').then(([status, signal]) => ({ status, signal }))
  }

  async address() {
    await Promise.race([this.line(/listen(ing|s) on /), this.exit])
    this.url = this.lines[0]?.replace(/.*listen(ing|s) on /, '')
    if (!this.url) throw new Error(`${this.name} did not start: ${this.errors}`)
    this.port = Number(new URL(this.url).port)
  }

  /** Waits until as many lines as `count` match. */
  async line(pattern, count = 1) {
    await new Promise(done => {
      const look = () => {
        if (this.lines.filter(line => line.match(pattern)).length < count) return
        this.#waiting.delete(look)
        done()
      }
      this.#waiting.add(look)
      look()
    })
  }

  async stop(signal = 'SIGINT') {
    this.child.kill(signal)
    return this.exit
  }

  async kill() {
    this.child.kill('SIGKILL')
    await this.exit
  }
}

/** Stops an example and starts it again on the same port. */
export async function restart(test, example, { whileDown = () => {} } = {}) {
  await example.stop()
  await whileDown()
  return start(test, example.name, { port: example.port, env: { ...example.env, PORT: `${example.port}` } })
}
