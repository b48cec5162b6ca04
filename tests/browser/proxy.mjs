// A TCP proxy whose connections can be cut, as a tunnel or a lost Wi-Fi cuts them.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export async function proxy(test, port) {
  const cuttable = new Proxy(port)
  test.after(() => cuttable.close())
  await cuttable.listen()
  return cuttable
}

class Proxy {
  /** What browsers sent, one text a connection. */
  requests = []
  /** What the server sent, one text a connection. */
  responses = []
  #sockets = new Set()
  #waiting = new Set()
  #server

  constructor(port) {
    this.#server = createServer(browser => this.#join(browser, connect(port, '127.0.0.1')))
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${this.#server.address().port}`
  }

  #join(browser, server) {
    const index = this.requests.push('') - 1
    this.responses.push('')
    browser.on('data', bytes => (this.requests[index] += bytes))
    server.on('data', bytes => {
      this.responses[index] += bytes
      for (const look of this.#waiting) look(this.responses[index])
    })
    browser.pipe(server).pipe(browser)
    for (const [socket, other] of [[browser, server], [server, browser]]) {
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => this.#sockets.delete(socket))
    }
  }

  /** Waits until the server sends `text`. */
  async passes(text) {
    await new Promise(done => {
      const look = response => {
        if (!response.includes(text)) return
        this.#waiting.delete(look)
        done()
      }
      this.#waiting.add(look)
    })
  }

  /** All connections break off. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close() {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
