const lines = require("fs").readFileSync(0, "utf8").trim().split("\n").slice(1);
console.log(lines.map((line) => Math.hypot(...line.split(" ").map(Number))).join("\n"));
