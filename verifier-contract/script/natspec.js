#!/usr/bin/env node
// Fails if a declaration of contracts/ has no NatSpec. Every contract, library, interface and enum says what it is.
// Every struct, event, error, external or public function, public variable and constant has a notice (a constant that
// is not public: a notice or a dev), and names each of its fields, parameters and results; or it inherits all of that.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const root = path.join(__dirname, "..");
const folder = path.join(root, "contracts");
const sources = {};
for (const entry of fs.readdirSync(folder, { recursive: true }).sort()) {
  if (!entry.endsWith(".sol")) continue;
  sources[path.join("contracts", entry)] = { content: fs.readFileSync(path.join(folder, entry), "utf8") };
}
const input = { language: "Solidity", sources, settings: { outputSelection: { "*": { "": ["ast"] } } } };
const read = (file) => ({ contents: fs.readFileSync(require.resolve(file), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors || []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));

const missing = [];
let count = 0;

/** The tags of a doc comment; text before the first tag is a notice. */
function tagsOf(node) {
  const doc = node.documentation;
  const text = doc === null || doc === undefined ? "" : typeof doc === "string" ? doc : doc.text;
  const tags = [];
  for (const part of text.split(/(?:^|\n)\s*(?=@)/)) {
    const match = part.match(/^@(\w+)\s+([\s\S]*)$/);
    if (match) tags.push({ tag: match[1], text: match[2].trim() });
    else if (part.trim() !== "") tags.push({ tag: "notice", text: part.trim() });
  }
  return tags;
}

/** The doc comment right before a value type, which the compiler reads over. */
function commentBefore(file, node) {
  const before = Buffer.from(sources[file].content).subarray(0, Number(node.src.split(":")[0])).toString();
  return before.match(/(?:\/\/\/ .*\n)*$/)[0].replaceAll("/// ", "").trim();
}

function has(tags, ...names) {
  return tags.some((tag) => names.includes(tag.tag) && tag.text !== "");
}

/** Every name has a `tag` that says more than the name. */
function requireNamed(where, tags, tag, names) {
  for (const name of names) {
    const pattern = new RegExp(`^${name}\\s+\\S`);
    if (!tags.some((found) => found.tag === tag && pattern.test(found.text))) missing.push(`${where}: @${tag} ${name}`);
  }
}

function check(where, node, required, params, results) {
  count += 1;
  const tags = tagsOf(node);
  if (has(tags, "inheritdoc")) return;
  if (!has(tags, ...required)) missing.push(`${where}: @${required.join(" or @")}`);
  requireNamed(where, tags, "param", params);
  const returned = tags.filter((tag) => tag.tag === "return").length;
  if (returned !== results.length) missing.push(`${where}: ${results.length} @return, not ${returned}`);
  requireNamed(where, tags, "return", results.filter((name) => name !== ""));
}

const names = (list) => (list ? list.parameters.map((parameter) => parameter.name) : []);

function checkMember(file, where, node) {
  switch (node.nodeType) {
    case "StructDefinition":
      // A struct that no interface shows has its comments beside its fields.
      if (!/^contracts\/(I|interfaces\/)/.test(file)) return check(where, node, ["dev"], [], []);
      return check(where, node, ["notice"], node.members.map((member) => member.name), []);
    case "EventDefinition":
    case "ErrorDefinition":
      return check(where, node, ["notice"], names(node.parameters), []);
    case "EnumDefinition":
      return check(where, node, ["notice"], [], []);
    case "UserDefinedValueTypeDefinition":
      return check(where, { documentation: commentBefore(file, node) }, ["notice"], [], []);
    case "FunctionDefinition": {
      // The parsed kind: a constructor, a fallback and a receive are no functions of the interface.
      if (node.kind !== "function" || !["external", "public"].includes(node.visibility)) return undefined;
      return check(where, node, ["notice"], names(node.parameters), names(node.returnParameters));
    }
    case "VariableDeclaration":
      if (node.visibility === "public") return check(where, node, ["notice"], [], []);
      if (node.constant) return check(where, node, ["notice", "dev"], [], []);
      return undefined;
    default:
      return undefined;
  }
}

for (const [file, { ast }] of Object.entries(output.sources)) {
  if (!(file in sources)) continue;
  for (const node of ast.nodes) {
    const where = `${file}: ${node.name}`;
    if (node.nodeType !== "ContractDefinition") {
      checkMember(file, where, node);
      continue;
    }
    check(where, node, ["title"], [], []);
    for (const member of node.nodes) checkMember(file, `${where}.${member.name}`, member);
  }
}
for (const line of missing) console.error(`no NatSpec: ${line}`);
if (missing.length === 0) console.log(`${count} declarations, all with NatSpec`);
process.exit(missing.length === 0 ? 0 : 1);
