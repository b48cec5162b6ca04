// A connection whose every byte is seen.

import { once } from 'node:events'
import { connect } from 'node:net'

import { Received } from './received.js'

const LOOPBACK = '127.0.0.1'

/** Sends `request`, and collects what comes. */
export async function raw(t, port, request = get('/sse')) {
  const connection = new Raw(connect(port, LOOPBACK))
  t.after(() => connection.socket.destroy())
  await once(connection.socket, 'connect')
  connection.socket.write(request)
  return connection
}

export function get(target, { version = '1.1', headers = {} } = {}) {
  const fields = Object.entries({ Host: 'localhost', ...headers })
  return `GET ${target} HTTP/${version}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

class Raw extends Received {
  constructor(socket) {
    super()
    this.socket = socket.setEncoding('latin1')
    socket.on('data', text => this.take(text))
    socket.on('error', error => (this.error = error))
    socket.on('close', () => this.finish())
  }
}

/** Takes the framing of chunks off a body. */
export function dechunked(body) {
  let [text, at] = ['', 0]
  while (at < body.length) {
    const end = body.indexOf('\r\n', at)
    const length = Number.parseInt(body.slice(at, end), 16)
    if (end < 0 || Number.isNaN(length)) throw new Error(`no chunk begins at ${at}: ${JSON.stringify(body.slice(at, at + 40))}`)
    text += body.slice(end + 2, end + 2 + length)
    at = end + 2 + length + 2
  }
  return text
}
