// Small programs that show a difference each: what comes of them with sse 0.0.8, and with ours.

import { once } from 'node:events'

import { host } from '../support/hosts.js'
import { raw } from '../support/raw.js'
import { eventually } from '../support/received.js'

/** Bytes for a client that reads nothing, more than ours has wait for it. */
const LARGE = 'x'.repeat(1024 * 1024)
const TOO_MANY = 100

/** Whether a request for this is answered with a stream. */
function isStream(options, target) {
  return async (t, SSE) => {
    const { server, ask } = await host(t)
    new SSE(server, options)
    return (await ask(target)).headers['content-type'] === 'text/event-stream'
  }
}

async function joined(t, SSE, kind) {
  const { server, port, ask } = await host(t, kind)
  const sse = new SSE(server)
  const connection = once(sse, 'connection')
  const stream = kind ? await ask('/sse') : await raw(t, port)
  const [client] = await connection
  return { client, stream }
}

export const differing = {
  '`send()` after `close()`': {
    async run(t, SSE) {
      const { client } = await joined(t, SSE)
      const errors = []
      client.res.on('error', error => errors.push(error.code))
      client.close()
      client.send('late')
      await new Promise(setImmediate)
      return errors
    },
    theirs: ['ERR_STREAM_WRITE_AFTER_END'],
    ours: [],
  },

  'a second `*` in `path`': { run: isStream({ path: '/*/and/*' }, '/one/and/other'), theirs: false, ours: true },
  "`path: 'sse'`": { run: isStream({ path: 'sse' }, '/sse'), theirs: false, ours: true },
  '`verifyRequest` that answers with a promise': {
    run: isStream({ verifyRequest: async () => false }, '/sse'),
    theirs: true,
    ours: false,
  },

  '`Connection: keep-alive` over HTTP/2': {
    async run(t, SSE) {
      const warnings = []
      const listener = ({ name }) => warnings.push(name)
      process.on('warning', listener)
      const { stream } = await joined(t, SSE, 'http2 in clear')
      await stream.until(':ok')
      process.off('warning', listener)
      return warnings
    },
    theirs: ['UnsupportedWarning'],
    ours: [],
  },

  'a client that reads nothing': {
    async run(t, SSE) {
      const { client, stream } = await joined(t, SSE)
      stream.socket.pause()
      let isCut = false
      client.on('close', () => (isCut = true))
      for (let count = 0; count < TOO_MANY; count++) {
        client.send(LARGE)
        await new Promise(setImmediate)
      }
      const begun = performance.now()
      await eventually(() => isCut || performance.now() - begun > 500)
      return isCut
    },
    theirs: false,
    ours: true,
  },

  'an event': {
    async run(t, SSE) {
      const { client, stream } = await joined(t, SSE)
      client.send({ event: 'e', retry: 1, id: 2, data: 'two\nlines' })
      const text = await stream.until('data: lines\n\n\r\n')
      return text.split(':ok\n\n\r\n')[1].match(/^[0-9a-f]+\r\n/gm).length
    },
    theirs: 5,
    ours: 1,
  },
}
