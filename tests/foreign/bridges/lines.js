"use strict";
// Calls that the tests want made, and what became of them: a line of JSON each, bytes as hex.
const readline = require("node:readline");

function calls(made, ended) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { number, method, params } = JSON.parse(line, (_, value) =>
      isHex(value) ? Buffer.from(value.hex, "hex") : value,
    );
    made(number, method, params);
  });
  lines.on("close", ended);
}

function tell(line) {
  process.stdout.write(JSON.stringify(plain(line)) + "\n");
}

function isHex(value) {
  return value !== null && typeof value === "object" && Object.keys(value).join() === "hex";
}

function plain(value) {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

module.exports = { calls, tell };
