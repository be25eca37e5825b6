"use strict";
// msgpack5rpc over a unix socket. It shows what is pushed, too.
const net = require("node:net");
const Session = require("msgpack5rpc");
const { calls, tell } = require("./lines.js");

const socket = net.createConnection(process.argv[2]);
const session = new Session([]);
session.attach(socket, socket);
session.on("notification", (method, params) => tell({ pushed: method, params }));
calls(
  (number, method, params) =>
    session.request(method, [params], (error, result) => tell({ number, error, result })),
  () => socket.end(),
);
