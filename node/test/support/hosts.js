// Servers of each kind, all of which answer `okay` to what is no stream.

import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'

import express from 'express'
import fastify from 'fastify'

import { Received } from './received.js'

const LOOPBACK = '127.0.0.1'

// Keys that both sides know, so that no certificate has to be made.
const SHARED_KEY = Buffer.alloc(32, 7)
const TLS = { ciphers: 'PSK', maxVersion: 'TLSv1.2' }
const SERVER_TLS = { ...TLS, pskCallback: () => SHARED_KEY }
const CLIENT_TLS = {
  ...TLS,
  pskCallback: () => ({ psk: SHARED_KEY, identity: 'test' }),
  checkServerIdentity: () => undefined,
}

export function okay(request, response) {
  response.writeHead(200, { 'Content-Type': 'text/plain' })
  response.end('okay')
}

/** Each kind: its server without an address yet, and how it is asked. */
export const hosts = {
  http: { make: () => http.createServer(okay), ask: askHttp },
  https: { make: () => https.createServer(SERVER_TLS, okay), ask: askHttps },
  'http2 over TLS': { make: () => http2.createSecureServer(SERVER_TLS, okay), ask: askHttp2Secure },
  'http2 in clear': { make: () => http2.createServer(okay), ask: askHttp2 },
  'HTTP/1.1 of an http2 server': {
    make: () => http2.createSecureServer({ ...SERVER_TLS, allowHTTP1: true }, okay),
    ask: askHttps,
  },
  'Express 5': { make: makeExpress, ask: askHttp },
  'Fastify 5': { make: makeFastify, ask: askHttp },
}

function makeExpress() {
  const app = express()
  app.use((request, response) => response.type('text/plain').send('okay'))
  return http.createServer(app)
}

async function makeFastify() {
  const app = fastify({ forceCloseConnections: true })
  app.get('/*', async () => 'okay')
  await app.ready()
  return app.server
}

/** A server of this kind that listens; it is closed when the test ends. */
export async function host(t, kind = 'http') {
  const { make, ask } = hosts[kind]
  const server = await make()
  await listen(t, server)
  const { port } = server.address()
  return { server, port, ask: (path, headers) => ask(t, port, path, headers) }
}

export async function listen(t, server) {
  const sockets = new Set()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
}

class Answer extends Received {
  constructor(status, headers, body, abort) {
    super()
    Object.assign(this, { status, headers, abort, body })
    body.setEncoding('utf8')
    body.on('data', text => this.take(text))
    body.on('error', () => {})
    body.on('close', () => this.finish())
  }
}

async function askHttp(t, port, path, headers, by = http, tls = {}) {
  const request = by.get({ host: LOOPBACK, port, path, headers, agent: false, ...tls })
  t.after(() => request.destroy())
  request.on('error', () => {})
  const [response] = await once(request, 'response')
  return new Answer(response.statusCode, response.headers, response, () => request.destroy())
}

function askHttps(t, port, path, headers) {
  return askHttp(t, port, path, headers, https, CLIENT_TLS)
}

function askHttp2Secure(t, port, path, headers) {
  return overHttp2(t, http2.connect(`https://${LOOPBACK}:${port}`, CLIENT_TLS), path, headers)
}

function askHttp2(t, port, path, headers) {
  return overHttp2(t, http2.connect(`http://${LOOPBACK}:${port}`), path, headers)
}

async function overHttp2(t, session, path, headers) {
  t.after(() => session.destroy())
  session.on('error', () => {})
  const stream = session.request({ ':path': path, ...headers })
  stream.on('error', () => {})
  const [head] = await once(stream, 'response')
  return new Answer(head[':status'], head, stream, () => session.destroy())
}
