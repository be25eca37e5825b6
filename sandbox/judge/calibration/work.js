// As work.c.
function integer(count) {
  let x = 1;
  for (let i = 0; i < count; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    x ^= x >>> 13;
  }
  console.log(x >>> 0);
}

function memory(size, count) {
  const next = new Uint32Array(size);
  for (let i = 0; i < size; i++) next[i] = (Math.imul(i, 1664525) + 1013904223) & (size - 1);
  let at = 0;
  for (let i = 0; i < count; i++) at = next[at];
  console.log(at);
}

function floating(count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum = sum * 0.999 + 1.0 / (i + 0.5);
  console.log((sum * 1000).toFixed(6));
}

const kinds = { integer, memory, float: floating };
const [kind, ...numbers] = process.argv.slice(2);
if (kind) kinds[kind](...numbers.map(Number));
