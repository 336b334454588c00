#!/usr/bin/env node
// Writes artifacts/*.json (ABI and bytecode) from forge's output; with --check, compares instead, for CI. PoseidonT5 is
// compiled here: the settings are its own, and the rollup accepts exactly this code.
"use strict";
const fs = require("fs");
const path = require("path");

const root = path.join(__dirname, "..");
const check = process.argv.includes("--check");
const contracts = [
  ["GridveilRollup.sol", "GridveilRollup"],
  ["GridveilRegistry.sol", "GridveilRegistry"],
  ["GridveilCertificates.sol", "GridveilCertificates"],
  ["Exits.sol", "Exits"],
  ["TestToken.sol", "TestToken"],
];
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
  // What the rollup creates went through the IR, as it did: where tests have the same contract too, that is one more file.
  const files = [`${name}.deployed.json`, `${name}.json`].map((file) => path.join(root, "out", source, file));
  const built = JSON.parse(fs.readFileSync(files.find((file) => fs.existsSync(file)), "utf8"));
  const bytecode = built.bytecode.object;
  const deployed = built.deployedBytecode.object;
  if (deployed.length < 4) throw new Error(`${name}: empty bytecode`);
  const artifact = { contractName: name, abi: built.abi, bytecode, deployedBytecode: deployed };
  emit(`${name}.json`, JSON.stringify(artifact, null, 1) + "\n");
}

{
  const solc = require("solc");
  const content = fs.readFileSync(require.resolve("poseidon-solidity/PoseidonT5.sol"), "utf8");
  const settings = {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 1000000 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  };
  const input = { language: "Solidity", sources: { "PoseidonT5.sol": { content } }, settings };
  const { abi, evm } = JSON.parse(solc.compile(JSON.stringify(input))).contracts["PoseidonT5.sol"].PoseidonT5;
  const [bytecode, deployedBytecode] = [evm.bytecode, evm.deployedBytecode].map((code) => "0x" + code.object);
  const artifact = { contractName: "PoseidonT5", abi, bytecode, deployedBytecode };
  emit("PoseidonT5.json", JSON.stringify(artifact, null, 1) + "\n");
}
process.exit(stale ? 1 : 0);
