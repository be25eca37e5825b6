"use strict";
// neovim, the client that Neovim's plugins in JavaScript use. It shows what is pushed, too.
const { attach } = require("neovim");
const { calls, tell } = require("./lines.js");

const logger = Object.fromEntries(["debug", "error", "info", "warn"].map((name) => [name, () => {}]));
const { transport } = attach({ socket: process.argv[2], options: { logger } });
// The client asks its peer for Neovim's interface, and hears that there is no such method.
transport.on("notification", (method, params) => tell({ pushed: method, params }));
calls(
  (number, method, params) =>
    transport.request(method, [params], (error, result) => tell({ number, error, result })),
  () => transport.close(),
);
