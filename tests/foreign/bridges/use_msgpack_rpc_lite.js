"use strict";
// msgpack-rpc-lite over TCP, told to write raw in place of bin and str 8, as old clients do.
const { createClient } = require("msgpack-rpc-lite");
const { calls, tell } = require("./lines.js");

const [port, token] = process.argv.slice(2);
const client = createClient(Number(port), "127.0.0.1", 0, { encode: { useraw: true } });
const greeted = client.request("server.hello", { token });
calls(
  async (number, method, params) => {
    await greeted;
    client.request(method, params).then(
      ([result]) => tell({ number, error: null, result }),
      (error) => tell({ number, error, result: null }),
    );
  },
  () => client.close(),
);
