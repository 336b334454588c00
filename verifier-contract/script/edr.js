// A second EVM client for the tests: EDR, the Ethereum client of Hardhat, on a port of its own choice, which it prints.
//
//   node script/edr.js CHAIN_ID UNIX_SECONDS ACCOUNT...
//
// The accounts have 10,000 ether each. Every transaction is mined at once; contracts have the limit of the mainnet.
const http = require("node:http");
const edr = require("@nomicfoundation/edr-linux-x64-gnu");

const ETHER = 10n ** 18n;
const [chainId, time, ...accounts] = process.argv.slice(2);

async function provider() {
  const context = new edr.EdrContext();
  await context.registerProviderFactory(edr.L1_CHAIN_TYPE, edr.l1ProviderFactory());
  const rich = accounts.map((account) => ({ address: Buffer.from(account, "hex"), balance: 10_000n * ETHER }));
  const config = {
    allowBlocksWithSameTimestamp: false,
    allowUnlimitedContractSize: false,
    bailOnCallFailure: true,
    bailOnTransactionFailure: false,
    blockGasLimit: 30_000_000n,
    chainId: BigInt(chainId),
    coinbase: Buffer.alloc(20, 0xc0),
    genesisState: [...edr.l1GenesisState(edr.l1HardforkFromString(edr.CANCUN)), ...rich],
    hardfork: edr.CANCUN,
    initialBaseFeePerGas: 1_000_000_000n,
    initialBlobGas: { gasUsed: 0n, excessGas: 0n },
    initialDate: BigInt(time),
    initialParentBeaconBlockRoot: Buffer.alloc(32),
    minGasPrice: 0n,
    mining: { autoMine: true, memPool: { order: edr.MineOrdering.Priority } },
    networkId: BigInt(chainId),
    observability: {},
    ownedAccounts: [],
    precompileOverrides: [],
  };
  const logger = { enable: false, decodeConsoleLogInputsCallback: () => [], printLineCallback: () => {} };
  const contracts = edr.ContractDecoder.withContracts({});
  return context.createProvider(edr.L1_CHAIN_TYPE, config, logger, { subscriptionCallback: () => {} }, contracts);
}

async function main() {
  const node = await provider();
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", async () => {
      const { id, method, params = [] } = JSON.parse(Buffer.concat(parts));
      const { data } = await node.handleRequest(JSON.stringify({ method, params }));
      const { result, error } = typeof data === "string" ? JSON.parse(data) : data;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(error ? { jsonrpc: "2.0", id, error } : { jsonrpc: "2.0", id, result }));
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  // Ends with the test that has started it.
  process.stdin.resume().on("end", () => process.exit(0));
}

main();
