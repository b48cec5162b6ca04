// better-sse on node's own HTTP server: GET subscribes, POST broadcasts its body.
const http = require("node:http");
const { text } = require("node:stream/consumers");
const { createChannel, createSession } = require("better-sse");
const { watchLoop } = require("./watch");

const channel = createChannel();

const server = http.createServer(async (request, response) => {
  if (request.method === "POST") {
    const data = await text(request);
    const held = request.url === "/watched" ? watchLoop() : undefined;
    channel.broadcast(data, "message");
    response.end(await held);
  } else {
    channel.register(await createSession(request, response));
  }
});

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
