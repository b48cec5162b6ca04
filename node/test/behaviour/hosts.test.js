// The same program on each kind of server.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'

import { host, hosts } from '../support/hosts.js'
import { SSE } from '../support/subject.js'

suite('on each kind of server', { concurrency: true }, () => {
  for (const kind of Object.keys(hosts)) {
    test(`${kind}: a stream is answered and given events`, async t => {
      const { server, ask } = await host(t, kind)
      new SSE(server).on('connection', (client, query) => {
        client.send('greeting', `hi ${query.name}\nthere`, '1')
        client.send('ünïcödé 🎉')
      })
      const answer = await ask('/sse?name=Ada')
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['content-type'], 'text/event-stream')
      assert.equal(answer.headers['cache-control'], 'no-cache, no-transform')
      await answer.until('🎉\n\n')
      assert.equal(
        answer.text,
        ':ok\n\nevent: greeting\nid: 1\ndata: hi Ada\ndata: there\n\ndata: ünïcödé 🎉\n\n',
      )
    })

    test(`${kind}: what is no stream is answered as before`, async t => {
      const { server, ask } = await host(t, kind)
      new SSE(server)
      const answer = await ask('/else')
      assert.equal(answer.status, 200)
      assert.equal(await answer.untilEnd(), 'okay')
    })

    test(`${kind}: a stream that the server closes ends`, async t => {
      const { server, ask } = await host(t, kind)
      const closed = new Promise(done => {
        new SSE(server).on('connection', client => {
          client.on('close', done)
          client.send('last')
          client.close()
        })
      })
      const answer = await ask('/sse')
      assert.equal(await answer.untilEnd(), ':ok\n\ndata: last\n\n')
      await closed
    })

    test(`${kind}: a client that leaves is noticed`, async t => {
      const { server, ask } = await host(t, kind)
      const sse = new SSE(server)
      const connection = once(sse, 'connection')
      const answer = await ask('/sse')
      const [client] = await connection
      const closed = once(client, 'close')
      answer.abort()
      await closed
    })
  }
})
