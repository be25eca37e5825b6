// Run a command as a job, with nothing but @msgpack/msgpack: run.js SOCKET COMMAND [ARGUMENT…]
//
// Its stdin is ours, its output comes as it is written, and its exit code is ours.
"use strict";
const net = require("node:net");
const { decodeMultiStream, encode } = require("@msgpack/msgpack");

// One connection; many calls at once.
class Client {
  constructor(path) {
    this.socket = net.createConnection(path);
    this.waiting = new Map(); // msgid -> what to do with the answer
    this.msgid = 0;
    this.receive();
  }

  call(method, params) {
    const msgid = ++this.msgid;
    this.socket.write(encode([0, msgid, method, [params]]));
    return new Promise((resolve, reject) => this.waiting.set(msgid, { resolve, reject }));
  }

  async receive() {
    for await (const [type, msgid, error, result] of decodeMultiStream(this.socket)) {
      if (type !== 1) continue; // a notification: we have subscribed to nothing
      const { resolve, reject } = this.waiting.get(msgid);
      this.waiting.delete(msgid);
      if (error === null) resolve(result);
      else reject(new Error(`${error.code}: ${error.message}`));
    }
  }
}

async function main([path, ...command]) {
  const client = new Client(path);
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  // For more than 512 KiB, upload a blob, or submit with stdin_open and call job.write.
  const stdin = Buffer.concat(chunks);
  const { job } = await client.call("job.submit", { job: { command }, stdin });

  let offset = 0;
  for (let isEnd = false; !isEnd; ) {
    const place = { stream: "stdout", offset, wait_seconds: 60 };
    const piece = await client.call("job.read", { job, ...place });
    process.stdout.write(piece.data);
    offset += piece.data.length;
    isEnd = piece.is_end;
  }

  const { error, result } = await client.call("job.wait", { job, wait_seconds: 60 });
  client.socket.end();
  if (error !== null) throw new Error(error.message);
  console.error([result.verdict, ...result.evidence].join("; "));
  process.exitCode = result.exit_code ?? 1;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
