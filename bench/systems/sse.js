// sse on node's own HTTP server: GET /sse subscribes, POST sends its body to every client.
const http = require("node:http");
const { text } = require("node:stream/consumers");
const SSE = require("sse");

const clients = new Set();

const server = http.createServer(async (request, response) => {
  const data = await text(request);
  for (const client of clients) {
    client.send(data);
  }
  response.end();
});

const sse = new SSE(server, { verifyRequest: (request) => request.method === "GET" });

sse.on("connection", (client) => {
  clients.add(client);
  client.on("close", () => clients.delete(client));
});

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
