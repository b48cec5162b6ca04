// A server of streams in a worker, which writes all the time and is ended in the midst of it.

import http from 'node:http'
import { parentPort } from 'node:worker_threads'

import { SSE } from '../support/subject.js'

const server = http.createServer()
const sse = new SSE(server)
setInterval(() => {
  for (let count = 0; count < 50; count++) sse.broadcast('of a worker')
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
