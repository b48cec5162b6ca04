// A server of streams in a process of its own, which does what it is told over IPC.

import { readdirSync } from 'node:fs'
import http from 'node:http'

import { SSE } from '../support/subject.js'

const server = http.createServer((request, response) => response.end('okay'))
const sse = new SSE(server)
const channel = sse.channel('all')

sse.on('connection', client => {
  channel.join(client)
  client.on('close', () => {})
})

const orders = {
  broadcast({ count, data }) {
    for (let number = 0; number < count; number++) channel.broadcast({ data: `${number} ${data}` })
  },
  closeClients() {
    for (const client of [...sse.clients]) client.close()
  },
  usage() {
    globalThis.gc()
    return {
      clients: sse.clients.size,
      descriptors: readdirSync('/proc/self/fd').length,
      threads: readdirSync('/proc/self/task').length,
      resident: process.memoryUsage.rss(),
      heap: process.memoryUsage().heapUsed,
    }
  },
  clients: () => sse.clients.size,
  /** Ends as a program should that is told to. */
  async shutDown(options) {
    server.close(() => process.disconnect())
    await sse.close(options)
    server.closeIdleConnections()
  },
  endOnSignal() {
    process.on('SIGTERM', () => orders.shutDown())
  },
}

process.on('message', async ({ order, ...details }) => {
  const result = await orders[order](details)
  if (process.connected) process.send({ done: order, result })
})

server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.send({ done: 'listen', result: server.address().port }))
