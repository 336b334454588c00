#!/usr/bin/env node
// Writes artifacts/*.json (ABI and bytecode) from forge's output; with --check, compares instead, for CI. PoseidonT5 and
// OpenZeppelin's timelock are compiled here: the settings are their own, and the rollup accepts exactly this hasher.
//
// `immutables` has the places of each immutable in the runtime code, which are zero there: whoever compares a deployed
// contract leaves them out, and checks that all places of one immutable hold the same.
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
  ["GridveilParts.sol", "GridveilParts"],
  ["AuditHeads.sol", "AuditHeads"],
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
  // The token is nobody's part: a test that went through the IR may have it compiled so too, which is not what is deployed.
  const profiles = name === "TestToken" ? [`${name}.json`] : [`${name}.deployed.json`, `${name}.json`];
  const files = profiles.map((file) => path.join(root, "out", source, file));
  const built = JSON.parse(fs.readFileSync(files.find((file) => fs.existsSync(file)), "utf8"));
  const bytecode = built.bytecode.object;
  const deployed = built.deployedBytecode.object;
  if (deployed.length < 4) throw new Error(`${name}: empty bytecode`);
  // The compiler's numbers of the immutables change with any source: only their places are kept, in order.
  const places = Object.values(built.deployedBytecode.immutableReferences || {});
  const ordered = places.map((list) => list.map(({ start, length }) => [start, length]).sort((a, b) => a[0] - b[0]));
  const immutables = ordered.sort((a, b) => a[0][0] - b[0][0]);
  // A place a line would be longer than the code.
  const text = JSON.stringify({ contractName: name, abi: built.abi, bytecode, deployedBytecode: deployed }, null, 1);
  emit(`${name}.json`, text.replace(/\n}$/, `,\n "immutables": ${JSON.stringify(immutables)}\n}\n`));
}

/** Compiles a contract of a package with settings of its own. */
function compiled(source, name, runs) {
  const solc = require("solc");
  const read = (file) => ({ content: fs.readFileSync(require.resolve(file), "utf8") });
  const settings = {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  };
  const input = { language: "Solidity", sources: { [source]: read(source) }, settings };
  const imported = (file) => ({ contents: read(file).content });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: imported }));
  const { abi, evm } = output.contracts[source][name];
  const [bytecode, deployedBytecode] = [evm.bytecode, evm.deployedBytecode].map((code) => "0x" + code.object);
  if (deployedBytecode.length < 4) throw new Error(`${name}: empty bytecode`);
  const artifact = { contractName: name, abi, bytecode, deployedBytecode };
  emit(`${name}.json`, JSON.stringify(artifact, null, 1) + "\n");
}

compiled("poseidon-solidity/PoseidonT5.sol", "PoseidonT5", 1000000);
compiled("@openzeppelin/contracts/governance/TimelockController.sol", "TimelockController", 200);
process.exit(stale ? 1 : 0);
