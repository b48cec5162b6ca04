// Programs that are to do the same with both packages.

import { get } from '../support/raw.js'

const NEXT_TURN = () => new Promise(setImmediate)

/** The end of a stream by something that the program does with its client. */
function ending(end) {
  return async stage => {
    const { client, stream } = await stage.join()
    client.send('before')
    await stream.until('data: before\n\n')
    end(client, stage)
    await stage.happens('client 1 close')
    await stream.untilEnd()
    client.send('after')
  }
}

/** One that is over as soon as the client is connected. */
function atOnce(details, target) {
  return async stage => {
    stage.onConnection = client => {
      client.send('one')
      client.send('two', 'lines\nof data', 'three')
      client.close()
    }
    await stage.ask(get(target ?? '/sse?a=1&a=2', details))
    await stage.happens('client 1 close')
    await NEXT_TURN()
  }
}

export const programs = {
  'the peer leaves by FIN': async stage => {
    const { stream, client } = await stage.join()
    client.send('named', 'data', 7)
    await stream.until('data: data\n\n')
    stream.socket.end()
    await stage.happens('client 1 close')
    await stage.happens('socket 1 close')
    client.send('after')
  },

  'the peer leaves by RST': async stage => {
    const { stream, client } = await stage.join()
    client.send('one')
    await stream.until('data: one\n\n')
    stream.socket.resetAndDestroy()
    await stage.happens('client 1 close')
    await stage.happens('socket 1 close')
    client.send('after')
  },

  'the peer leaves while much is sent': async stage => {
    const { stream, client } = await stage.join()
    stream.socket.destroy()
    stage.connections.pop()
    while (!stage.events.includes('client 1 close')) {
      client.send('x'.repeat(1000))
      await NEXT_TURN()
    }
  },

  'all is sent at once, and closed': atOnce(),
  'the same for HTTP/1.0': atOnce({ version: '1.0' }),
  'the same for HTTP/1.0 with keep-alive': atOnce({ version: '1.0', headers: { Connection: 'keep-alive' } }),
  'the same with Connection: close': atOnce({ headers: { Connection: 'close' } }),
  'the same with TE: trailers': atOnce({ headers: { TE: 'trailers' } }),
  'the same for an address in full': atOnce({}, 'http://localhost/sse'),
  'the same behind slashes': atOnce({}, '///sse?b'),

  'HEAD has no body': async stage => {
    stage.onConnection = client => {
      client.send('one')
      client.close()
    }
    const stream = await stage.ask(get('/sse').replace('GET', 'HEAD'))
    await stage.happens('client 1 close')
    stream.socket.write(get('/else'))
    await stream.until('okay')
  },

  'HEAD has no body while it is open': async stage => {
    stage.onConnection = client => client.send('one')
    await stage.ask(get('/sse').replace('GET', 'HEAD'))
    await stage.happens('connection 1 {}')
    await stage.settle()
    stage.clients[0].send('two')
    await stage.settle()
    stage.clients[0].close()
    await stage.happens('client 1 close')
  },

  'a body that is sent with the request': async stage => {
    stage.onConnection = client => {
      client.req.setEncoding('utf8').on('data', data => client.send(`given ${data}`))
      client.req.on('end', () => client.close())
    }
    const head = get('/sse', { headers: { 'Content-Length': 5 } }).replace('GET', 'POST')
    const stream = await stage.ask(head)
    await stream.until(':ok\n\n')
    stream.socket.write('hello')
    await stage.happens('client 1 close')
    await stream.until('given hello')
  },

  'Expect: 100-continue': async stage => {
    stage.onConnection = client => client.req.resume().on('end', () => client.close())
    const details = { headers: { 'Content-Length': 2, Expect: '100-continue' } }
    const stream = await stage.ask(get('/sse', details).replace('GET', 'POST'))
    await stream.until(':ok\n\n')
    stream.socket.write('hi')
    await stage.happens('client 1 close')
  },

  'a second request comes while the first is a stream': async stage => {
    const { stream, client } = await stage.join()
    stream.socket.write(get('/else') + get('/sse'))
    client.send('one')
    await stream.until('data: one\n\n')
    await stage.happens('asked for /else')
    client.close()
    await stage.happens('connection 2 {}')
    stage.clients[1].send('two')
    await stream.until('data: two\n\n')
  },

  'bytes that are no request follow': async stage => {
    const { stream, client } = await stage.join()
    client.send('one')
    await stream.until('data: one\n\n')
    stream.socket.write('this is not HTTP\r\n\r\n')
    await stage.happens('client 1 close')
  },

  'stream after stream on one connection': async stage => {
    stage.onConnection = client => {
      client.send('only')
      client.close()
    }
    const stream = await stage.ask(get('/sse?1'))
    for (let number = 1; number <= 3; number++) {
      await stage.happens(`client ${number} close`)
      await stream.until(new RegExp(`(0\\r\\n\\r\\n[^]*){${number}}$`))
      stream.socket.write(get(`/sse?${number + 1}`))
    }
    await stage.happens('client 4 close')
  },

  'two clients take turns': async stage => {
    const [one, other] = [await stage.join(), await stage.join()]
    for (let turn = 0; turn < 20; turn++) {
      for (const { client } of [one, other]) client.send(`turn ${turn}`)
      if (turn % 5 === 0) await NEXT_TURN()
      if (turn % 3 === 0) one.client.send('extra', `${turn}`)
    }
    await Promise.all([one, other].map(({ stream }) => stream.until('data: turn 19\n\n')))
  },

  'the client is sent to when it has left, by its own close': async stage => {
    const { stream, client } = await stage.join()
    client.on('close', () => stage.attempt(() => client.send('gone')))
    stream.socket.destroy()
    stage.connections.pop()
    await stage.happens('client 1 close')
  },

  'client.close()': ending(client => client.close() ?? client.req.socket.end()),
  'res.end()': ending(client => client.res.end() && client.req.socket.end()),
  'res.end(data)': ending(client => client.res.end(': bye\n\n') && client.req.socket.end()),
  'res.destroy()': ending(client => client.res.destroy()),
  'res.destroy(error)': ending(client => client.res.destroy(new Error('on purpose'))),
  'req.destroy()': ending(client => client.req.destroy()),
  'socket.end()': ending(client => client.req.socket.end()),
  'socket.destroy()': ending(client => client.req.socket.destroy()),
  'socket.destroySoon()': ending(client => client.req.socket.destroySoon()),
  'socket.resetAndDestroy()': ending(client => client.req.socket.resetAndDestroy()),
  'server.closeAllConnections()': ending((client, stage) => stage.server.closeAllConnections()),

  'server.closeIdleConnections() lets streams be': async stage => {
    const { stream, client } = await stage.join()
    stage.server.closeIdleConnections()
    client.send('still there')
    await stream.until('still there')
  },

  'server.close() waits for streams': async stage => {
    const { stream, client } = await stage.join()
    stage.server.close()
    client.send('still there')
    await stream.until('still there')
    client.close()
    await stage.happens('client 1 close')
    stream.socket.end()
    await stage.happens('server close')
  },

  'what the program writes to the response': async stage => {
    const { stream, client } = await stage.join()
    client.send('one')
    stage.log(`write gave ${client.res.write(': by hand\n\n')}`)
    client.send('two')
    client.res.write(Buffer.from(': ü\n\n'), () => stage.log('written'))
    client.res.write('3a0a0a', 'hex')
    client.send('three')
    await stream.until('data: three\n\n')
    await stage.happens('written')
  },

  'what the program sees of the response': async stage => {
    const { client } = await stage.join()
    const look = () => {
      const { headersSent, writableEnded, writableFinished, destroyed, statusCode } = client.res
      stage.log(JSON.stringify({ headersSent, writableEnded, writableFinished, destroyed, statusCode }))
    }
    look()
    client.send('one')
    look()
    client.on('close', look)
    client.close()
    stage.log(`ended ${client.res.writableEnded}`)
    await stage.happens('client 1 close')
    look()
  },
}

/** Programs that need something done to the server first. */
export const prepared = {
  'headers of the program': {
    prepare: server =>
      before(server, response => {
        response.setHeader('Access-Control-Allow-Origin', '*')
        response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      }),
    program: atOnce(),
  },

  'verifyRequest, and a path with a wildcard': {
    options: { path: '/sse*', verifyRequest: request => request.url !== '/sse?refused' },
    program: async stage => {
      const refused = await stage.ask(get('/sse?refused'))
      await refused.until('okay')
      const { stream, client } = await stage.join('/sse/deep')
      client.send('in')
      await stream.until('data: in\n\n')
    },
  },

  'a middleware wraps res.write and res.end': {
    prepare: server => before(server, wrap),
    program: atOnce(),
  },

  'a middleware does so after the head': {
    program: async stage => {
      const { stream, client } = await stage.join()
      client.send('before')
      await stream.until('before')
      wrap(client.res)
      client.send('after')
      await stream.until(/after/i)
      client.close()
      await stage.happens('client 1 close')
    },
  },

  'keepAliveTimeout and requestTimeout leave a stream be': {
    prepare: server => Object.assign(server, { connectionsCheckingInterval: 10 }),
    program: async stage => {
      const { stream, client } = await stage.join()
      Object.assign(stage.server, { keepAliveTimeout: 50, requestTimeout: 60, headersTimeout: 40 })
      for (let number = 0; number < 10; number++) {
        client.send(`${number}`)
        await stream.until(`data: ${number}\n\n`)
      }
    },
  },
}

/** Has something done to each response before any listener sees it. */
function before(server, action) {
  const { emit } = server
  server.emit = function (event, request, response) {
    if (event === 'request') action(response)
    return emit.apply(this, arguments)
  }
}

function wrap(response) {
  const { write, end } = response
  response.write = function (chunk, ...rest) {
    return write.call(this, `${chunk}`.toUpperCase(), ...rest)
  }
  response.end = function (...rest) {
    return end.apply(this, rest)
  }
}
