#!/usr/bin/env node
// Writes artifacts/*.json (ABI and bytecode) from forge's output; with --check, compares instead, for CI.
"use strict";
const fs = require("fs");
const path = require("path");

const root = path.join(__dirname, "..");
const check = process.argv.includes("--check");
const contracts = [["GridveilRollup.sol", "GridveilRollup"]];
let stale = false;

function emit(file, text) {
  const target = path.join(root, "artifacts", file);
  if (!check) {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, text);
    return;
  }
  const committed = fs.existsSync(target) ? fs.readFileSync(target, "utf8") : "";
  if (committed !== text) {
    console.error(`artifacts/${file} is not what the sources give: run npm run generate`);
    stale = true;
  }
}

for (const [source, name] of contracts) {
  const built = JSON.parse(fs.readFileSync(path.join(root, "out", source, `${name}.json`), "utf8"));
  const bytecode = built.bytecode.object;
  const deployed = built.deployedBytecode.object;
  if (deployed.length < 4) throw new Error(`${name}: empty bytecode`);
  emit(`${name}.json`, JSON.stringify({ contractName: name, abi: built.abi, bytecode, deployedBytecode: deployed }, null, 1) + "\n");
}
process.exit(stale ? 1 : 0);
