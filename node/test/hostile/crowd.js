// Many clients, each of which checks what it is given by counting: their bytes are not kept.

import { connect } from 'node:net'

import { get } from '../support/raw.js'
import { within } from '../support/received.js'

const PATIENCE_MS = 120_000
const AT_ONCE = 200
/** An address has a little less than 28,000 ports. */
const PER_ADDRESS = 9_000

/** Connects so many clients, all of whom have been answered. */
export async function crowd(t, port, size) {
  const members = []
  t.after(() => members.forEach(member => member.leave()))
  while (members.length < size) {
    const some = Array.from({ length: Math.min(AT_ONCE, size - members.length) }, (_, index) => {
      return new Member(port, `127.0.0.${1 + Math.floor((members.length + index) / PER_ADDRESS)}`)
    })
    members.push(...some)
    await Promise.all(some.map(member => member.until(() => member.isOpen, 'the beginning')))
  }
  return members
}

export class Member {
  events = 0
  wrong = undefined
  isOpen = false
  hasEnded = false
  #rest = ''
  #look = () => {}

  constructor(port, localAddress) {
    this.socket = connect({ port, host: '127.0.0.1', localAddress })
    this.socket.setEncoding('latin1').write(get('/sse'))
    this.socket.on('data', text => this.#take(text))
    this.socket.on('error', error => (this.wrong ??= this.isLeaving ? undefined : error))
    this.socket.on('close', () => {
      this.hasEnded = true
      this.#look()
    })
  }

  #take(text) {
    this.isOpen ||= text.includes(':ok')
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue
      const number = Number.parseInt(line.slice(6), 10)
      if (number !== this.events) this.wrong ??= new Error(`event ${number} after ${this.events} events`)
      this.events++
    }
    this.#look()
  }

  async until(condition, what) {
    await within(
      done => {
        this.#look = () => (condition() || this.hasEnded) && done()
        this.#look()
      },
      () => `waited for ${what}, and was given ${this.events} events`,
      PATIENCE_MS,
    )
    if (this.wrong) throw this.wrong
    if (!condition()) throw new Error(`ended before ${what}, after ${this.events} events`)
  }

  hasEvents(count) {
    return this.until(() => this.events >= count, `${count} events`)
  }

  leave() {
    this.isLeaving = true
    this.socket.destroy()
  }
}
