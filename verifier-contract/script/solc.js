#!/usr/bin/env node
// A solc executable for forge and for the Rust code generator: npm's solc behind `--version` and `--standard-json`.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const args = process.argv.slice(2);
if (args.includes("--version")) {
  process.stdout.write("solc, the solidity compiler commandline interface\nVersion: " + solc.version() + "\n");
} else if (args.includes("--standard-json")) {
  const read = (file) => {
    try {
      return { contents: fs.readFileSync(path.resolve(file), "utf8") };
    } catch (error) {
      return { error: String(error.message) };
    }
  };
  const output = solc.compile(fs.readFileSync(0, "utf8"), { import: read });
  fs.writeSync(1, ""); // keep stdout blocking
  process.stdout.write(output);
} else {
  process.stderr.write("usage: solc.js --version | --standard-json\n");
  process.exit(1);
}
