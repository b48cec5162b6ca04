// The same package, imported.

import SSE, { Client } from 'sse'
import { createServer } from 'node:http'

const sse = new SSE(createServer())
sse.on('connection', (client: Client) => client.send(SSE.native ? 'Rust' : 'Node'))
