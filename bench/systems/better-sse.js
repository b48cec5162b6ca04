// better-sse on node's own HTTP server: GET subscribes, POST broadcasts its body.
const http = require("node:http");
const { text } = require("node:stream/consumers");
const { createChannel, createSession } = require("better-sse");

const channel = createChannel();

const server = http.createServer(async (request, response) => {
  if (request.method === "POST") {
    channel.broadcast(await text(request), "message");
    response.end();
  } else {
    channel.register(await createSession(request, response));
  }
});

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
