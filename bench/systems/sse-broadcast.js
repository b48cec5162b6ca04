// Our npm package on node's own HTTP server: GET /sse subscribes, POST broadcasts its body.
const http = require("node:http");
const { text } = require("node:stream/consumers");
const { watchLoop } = require("./watch");
const SSE = require("../../node");

const server = http.createServer(async (request, response) => {
  const data = await text(request);
  const held = request.url === "/watched" ? watchLoop() : undefined;
  sse.broadcast(data);
  response.end(await held);
});

const sse = new SSE(server, { verifyRequest: (request) => request.method === "GET" });

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
