'use strict';

/** Clients whose responses wait behind others, by their connection. */
const waiting = new WeakMap();

/** How much waits to be taken by the kernel; TLS has the handle of the connection below its own. */
function queued({ socket }) {
  const handle = socket?._handle;
  return (handle?._parent ?? handle)?.writeQueueSize ?? 0;
}

/** How much HTTP/2 may send before its peer has read on: a slow one takes nothing else of the session's. */
function window(res) {
  return res.stream?.session?.state?.remoteWindowSize ?? 0;
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

module.exports = { attend, forget, hasLeft, queued, window };
