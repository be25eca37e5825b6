// Shortest paths from some nodes of a graph: two worker threads share the sources.
"use strict";

const fs = require("node:fs");
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");

const WORKERS = 2;

class Heap {
  #entries = [];

  get size() {
    return this.#entries.length;
  }

  push(entry) {
    const entries = this.#entries;
    let child = entries.length;
    entries.push(entry);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (entries[parent][0] <= entry[0]) break;
      entries[child] = entries[parent];
      child = parent;
    }
    entries[child] = entry;
  }

  pop() {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (entries.length === 0) return top;
    let parent = 0;
    for (let child; (child = 2 * parent + 1) < entries.length; parent = child) {
      if (child + 1 < entries.length && entries[child + 1][0] < entries[child][0]) child++;
      if (entries[child][0] >= last[0]) break;
      entries[parent] = entries[child];
    }
    entries[parent] = last;
    return top;
  }
}

function readProblem(text) {
  const numbers = text.trim().split(/\s+/).map(Number);
  const [nodes, edges, sources] = numbers;
  const graph = Array.from({ length: nodes }, () => []);
  let at = 3;
  for (let i = 0; i < edges; i++, at += 3) {
    const [from, to, weight] = numbers.slice(at, at + 3);
    graph[from].push([to, weight]);
    graph[to].push([from, weight]);
  }
  return { graph, wanted: numbers.slice(at, at + sources) };
}

function findPaths(graph, source) {
  const distances = new Map();
  const heap = new Heap();
  heap.push([0, source]);
  while (heap.size > 0) {
    const [distance, node] = heap.pop();
    if (distances.has(node)) continue;
    distances.set(node, distance);
    for (const [to, weight] of graph[node])
      if (!distances.has(to)) heap.push([distance + weight, to]);
  }
  const all = [...distances.values()];
  return [all.length, Math.max(...all), all.reduce((sum, distance) => sum + distance, 0)];
}

function askWorker(graph, sources) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { graph, sources } });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function main() {
  const { graph, wanted } = readProblem(fs.readFileSync(0, "utf8"));
  const share = Math.ceil(wanted.length / WORKERS);
  const shares = Array.from({ length: WORKERS }, (_, i) =>
    wanted.slice(i * share, (i + 1) * share));
  const summaries = (await Promise.all(shares.map((part) => askWorker(graph, part)))).flat();

  let hash = 2166136261;
  const lines = summaries.map(([reached, farthest, sum], i) => {
    for (const number of [reached, farthest, sum]) hash = Math.imul(hash ^ number, 16777619);
    return `${wanted[i]}: ${reached} reached, farthest ${farthest}, sum ${sum}\n`;
  });
  const checksum = (hash >>> 0).toString(16).padStart(8, "0");
  process.stdout.write(`${lines.join("")}checksum ${checksum}\n`);
}

if (isMainThread) main();
else parentPort.postMessage(workerData.sources.map((source) => findPaths(workerData.graph, source)));
