'use strict';

/** Clients whose responses wait behind others, by their connection. */
const waiting = new WeakMap();

/**
 * How many bytes the kernel has taken. TLS has the handle of the connection below its own, and HTTP/2 writes to it
 * only what its peer has room for.
 */
function taken({ socket }) {
  const handle = socket?._handle;
  const { bytesWritten = 0, writeQueueSize = 0 } = handle?._parent ?? handle ?? {};
  return bytesWritten - writeQueueSize;
}

/** Whether nobody is there any more to be answered. */
function hasLeft({ socket }, res) {
  return res.destroyed || socket?.destroyed === true;
}

/**
 * Tells of the end of the connection a client whose response waits behind another one: before version 24, Node tells
 * its response nothing. A peer can have any number of them wait, so there is one listener for all.
 */
function attend(client) {
  const { req, res } = client;
  if (req.httpVersionMajor !== 1 || res.socket !== null) return;
  const clients = waiting.get(req.socket);
  if (clients) clients.add(client);
  else begin(req.socket, new Set([client]));
}

function begin(socket, clients) {
  waiting.set(socket, clients);
  socket.once('close', () => clients.forEach((client) => client._hasEnded()));
}

function forget(client) {
  waiting.get(client.req.socket)?.delete(client);
}

module.exports = { attend, forget, hasLeft, taken };
