// A program for sse on node's own HTTP server: GET /sse subscribes, POST sends its body to every client.
// Another package with the same API can be named behind the port.
const http = require("node:http");
const { text } = require("node:stream/consumers");
const { watchLoop } = require("./watch");
const SSE = require(process.argv[3] ?? "sse");

const clients = new Set();

const server = http.createServer(async (request, response) => {
  const data = await text(request);
  const held = request.url === "/watched" ? watchLoop() : undefined;
  for (const client of clients) {
    client.send(data);
  }
  response.end(await held);
});

const sse = new SSE(server, { verifyRequest: (request) => request.method === "GET" });

sse.on("connection", (client) => {
  clients.add(client);
  client.on("close", () => clients.delete(client));
});

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
