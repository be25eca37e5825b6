declare const require: (name: string) => any;
const numbers: number[] = require("fs").readFileSync(0, "utf8").trim().split(" ").map(Number);
console.log(numbers[0] + numbers[1]);
