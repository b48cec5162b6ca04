// A program of Node.js as a child process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { eventually } from '../support/received.js'

/** Starts it on a free port; it is stopped when the test ends. */
export async function start(t, path) {
  const program = new Program(path)
  t.after(() => program.stop('SIGKILL'))
  program.url = await eventually(() => program.address, `the address of ${path}; ${program.errors}`)
  return program
}

class Program {
  lines = []
  errors = ''

  constructor(path) {
    this.child = spawn(process.execPath, [path], { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stderr.setEncoding('utf8').on('data', text => (this.errors += text))
    createInterface(this.child.stdout).on('line', line => this.lines.push(line))
    this.exit = once(this.child, 'close').then(([status, signal]) => ({ status, signal }))
  }

  get address() {
    return this.lines.find(line => line.startsWith('listening on '))?.slice('listening on '.length)
  }

  says(line, count = 1) {
    return eventually(() => this.lines.filter(one => one === line).length >= count, `${line}: ${this.lines}; ${this.errors}`)
  }

  async stop(signal) {
    this.child.kill(signal)
    return this.exit
  }
}
