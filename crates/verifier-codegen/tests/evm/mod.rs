//! An EVM to run generated contracts in: a local anvil, from npm's packages or the path.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ethers::{
    providers::{Http, Middleware, Provider},
    types::{Address, Bytes, TransactionRequest, U256},
};
use halo2curves::{bn256::Fr, ff::PrimeField};

/// A running anvil, killed on drop.
pub struct Chain {
    provider: Provider<Http>,
    child: Child,
}

/// npm's anvil under a folder, else the one on the path.
fn anvil(npm: &Path) -> PathBuf {
    let packages = std::fs::read_dir(npm.join("node_modules").join("@foundry-rs"));
    let found = packages.into_iter().flatten().flatten().map(|entry| entry.path().join("bin").join("anvil"));
    found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("anvil"))
}

impl Chain {
    /// Starts a chain on a free port; `npm` is a folder with `node_modules`.
    pub fn new(npm: &Path) -> Self {
        let mut command = Command::new(anvil(npm));
        command.args(["--host", "127.0.0.1", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("anvil: was `npm ci` run?");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.find_map(|line| Some(line.trim().strip_prefix("Listening on ")?.to_owned())).unwrap();
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { provider: Provider::<Http>::try_from(format!("http://{listening}")).unwrap(), child }
    }

    /// Puts runtime code at an address.
    pub async fn place(&self, address: Address, code: &[u8]) {
        let _: serde_json::Value =
            self.provider.request("anvil_setCode", (address, Bytes::from(code.to_vec()))).await.unwrap();
    }

    /// What the call returns; `None` if it reverts.
    pub async fn call(&self, to: Address, data: &[u8]) -> Option<Vec<u8>> {
        let tx = TransactionRequest::new().to(to).data(data.to_vec()).gas(20_000_000u64);
        self.provider
            .call(&tx.into(), None)
            .await
            .inspect_err(|e| {
                if std::env::var_os("VERIFIER_TRACE").is_some() {
                    eprintln!("{e}")
                }
            })
            .ok()
            .map(|bytes| bytes.to_vec())
    }

    /// Gas of the execution alone: without the transaction's intrinsic gas and calldata.
    pub async fn gas(&self, to: Address, data: &[u8]) -> u64 {
        let accounts = self.provider.get_accounts().await.unwrap();
        let tx = TransactionRequest::new().from(accounts[0]).to(to).data(data.to_vec()).gas(20_000_000u64);
        let receipt = self.provider.send_transaction(tx, None).await.unwrap().await.unwrap().unwrap();
        assert_eq!(receipt.status.unwrap().as_u64(), 1);
        let calldata: u64 = data.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
        receipt.gas_used.unwrap().as_u64() - 21_000 - calldata
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An element as calldata has it: big-endian.
pub fn word(value: &Fr) -> [u8; 32] {
    let mut bytes = value.to_repr();
    bytes.reverse();
    bytes
}

/// Word `index` replaced by itself plus `delta`, modulo 2^256.
pub fn shifted(calldata: &[u8], index: usize, delta: U256) -> Vec<u8> {
    let mut out = calldata.to_vec();
    let range = 32 * index..32 * index + 32;
    let (sum, _) = U256::from_big_endian(&calldata[range.clone()]).overflowing_add(delta);
    sum.to_big_endian(&mut out[range]);
    out
}
