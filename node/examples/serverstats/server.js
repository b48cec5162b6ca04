// Live charts of this process: CPU, memory and events, ten times a second.
//
// Run it with `node server.js` and open the address that it prints. `PORT` sets another port than 8080.

'use strict';

const { createReadStream } = require('node:fs');
const http = require('node:http');
const { join } = require('node:path');
const SSE = require('../..'); // in a program of your own: require('sse')
const { Meter } = require('./meter');
const { beginWork } = require('./work');

const INTERVAL_MS = 100;
const PORT = Number(process.env.PORT ?? 8080);

/** The page is that of the same example in Rust. */
const ROOT = join(__dirname, '../../..');
const VENDOR = join(ROOT, 'crates/fanfare-hub/page/vendor/uplot');
const FILES = {
  '/': [join(ROOT, 'examples/serverstats/index.html'), 'text/html; charset=utf-8'],
  '/page.css': [join(ROOT, 'examples/serverstats/page.css'), 'text/css; charset=utf-8'],
  '/page.js': [join(ROOT, 'examples/serverstats/page.js'), 'text/javascript; charset=utf-8'],
  '/chart.js': [join(ROOT, 'examples/serverstats/chart.js'), 'text/javascript; charset=utf-8'],
  '/connection.js': [join(ROOT, 'examples/shared/connection.js'), 'text/javascript; charset=utf-8'],
  '/shared.css': [join(ROOT, 'crates/fanfare-hub/page/shared.css'), 'text/css; charset=utf-8'],
  '/uplot.js': [join(VENDOR, 'uPlot.iife.min.js'), 'text/javascript; charset=utf-8'],
  '/uplot.css': [join(VENDOR, 'uPlot.min.css'), 'text/css; charset=utf-8'],
};

function answer(req, res) {
  const [file, type] = FILES[req.url] ?? [];
  if (file) {
    res.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-cache' });
    createReadStream(file).pipe(res);
  } else if (req.method === 'POST' && req.url === '/work') {
    res.writeHead(beginWork() ? 202 : 429).end();
  } else {
    res.writeHead(404).end('not found\n');
  }
}

let events = 0;

/** Sends the client the newest figures until it leaves. */
function report(client) {
  console.log('started client interval');
  const meter = new Meter();
  const timer = setInterval(() => client.send(JSON.stringify({ ...meter.read(), streams: sse.clients.size, events: ++events })), INTERVAL_MS);
  client.on('close', () => {
    console.log('stopping client interval');
    clearInterval(timer);
  });
}

const server = http.createServer(answer);
const sse = new SSE(server, { retry: 1000, keepAlive: 15_000 });
sse.on('connection', report);

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close();
    await sse.close();
    server.closeAllConnections();
  });
}

server.listen(PORT, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
