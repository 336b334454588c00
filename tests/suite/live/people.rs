//! A devnet, its members at home, and the commands they type.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::common;
use gridveil_cli::member::hex0;
use gridveil_verifier_contract::{AuditorL1, EthersClient, address_of};
use serde_json::{Value, json};

/// Keys are made where there are none yet: on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(600);

pub const PASSPHRASE: &str = "a passphrase of the test";

/// A devnet's process, interrupted when it is dropped: it takes its chain with it.
pub struct Net {
    child: Child,
    pub dir: PathBuf,
}

impl Net {
    pub fn up(dir: &Path) -> Self {
        let dir = dir.join("net");
        let child = common::gridveil()
            .args(["devnet", "up", "--dir", dir.to_str().unwrap(), "--members", "3", "--cache"])
            .arg(common::cache())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut net = Self { child, dir };
        let start = Instant::now();
        while !net.dir.join("devnet.json").exists() {
            assert!(net.child.try_wait().unwrap().is_none(), "the devnet ended");
            assert!(start.elapsed() < UP_WITHIN, "the devnet is not up");
            std::thread::sleep(Duration::from_millis(50));
        }
        net
    }

    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    pub fn info(&self, name: &str) -> String {
        let json: Value = serde_json::from_slice(&std::fs::read(self.dir.join("devnet.json")).unwrap()).unwrap();
        json[name].as_str().unwrap().to_owned()
    }

    pub fn active_from(&self) -> u64 {
        let json: Value = serde_json::from_slice(&std::fs::read(self.dir.join("devnet.json")).unwrap()).unwrap();
        json["active_from"].as_u64().unwrap()
    }

    /// Where L1 is: of every command that asks it.
    pub fn l1(&self) -> Vec<String> {
        ["--rpc", &self.info("rpc"), "--contract", &self.info("contract")].map(str::to_owned).to_vec()
    }

    /// A period passes in one community: number of substitutes.
    pub fn settle(&self, community: u32) -> u64 {
        let community = community.to_string();
        let settled =
            good(&["devnet", "settle", "--dir", self.dir.to_str().unwrap(), "--community", &community, "--json"]);
        settled[0]["substituted"].as_u64().unwrap()
    }

    pub fn mdm(&self, words: &[&str]) -> Value {
        let l1 = self.l1();
        let (keys, passphrase) = (self.file("mdm.keys"), self.file("mdm.passphrase"));
        let key = ["--keys", &keys, "--passphrase-file", &passphrase];
        good(
            &[&["mdm"], words, &l1.iter().map(String::as_str).collect::<Vec<_>>(), &key, &["--yes", "--json"]].concat(),
        )
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

pub fn gridveil(words: &[&str]) -> Output {
    common::gridveil()
        .args(words)
        .env_remove("GRIDVEIL_L1_KEY")
        .env("GRIDVEIL_PASSPHRASE", PASSPHRASE)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The JSON of a command that succeeds.
pub fn good(words: &[&str]) -> Value {
    let output = gridveil(words);
    assert!(output.status.success(), "gridveil {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("gridveil {}: no JSON", words.join(" ")))
}

/// The one line of a command that refuses.
pub fn refused(words: &[&str]) -> String {
    let output = gridveil(words);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.lines().count() == 1, "gridveil {}: {error}", words.join(" "));
    error
}

/// A member at home.
pub struct Member<'a> {
    net: &'a Net,
    pub community: u32,
    pub slot: u16,
    pub keys: String,
    pub device: String,
    pub wallet: String,
    pub l1_key: String,
}

impl<'a> Member<'a> {
    /// Makes its keys.
    pub fn new(net: &'a Net, dir: &Path, number: usize, (community, slot): (u32, u16)) -> Self {
        let path = |name: &str| dir.join(format!("{name}-{number}")).to_str().unwrap().to_owned();
        let member = Self {
            net,
            community,
            slot,
            keys: path("keys"),
            device: path("keys") + ".device",
            wallet: path("wallet"),
            l1_key: net.file(&format!("l1-{number}.key")),
        };
        good(&["meter", "keygen", "--keys", &member.keys, "--json"]);
        member
    }

    pub fn payout(&self) -> String {
        hex0(address_of(&std::fs::read_to_string(&self.l1_key).unwrap()).unwrap())
    }

    pub fn words(&self, words: &[&str], more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = [&["member"], words].concat().iter().map(|word| (*word).to_owned()).collect();
        all.extend(self.net.l1());
        let (community, slot) = (self.community.to_string(), self.slot.to_string());
        all.extend(
            ["--community", &community, "--slot", &slot, "--keys", &self.keys, "--wallet", &self.wallet, "--json"]
                .map(str::to_owned),
        );
        all.extend(more.iter().map(|word| (*word).to_owned()));
        all
    }

    pub fn run(&self, words: &[&str], more: &[&str]) -> Value {
        good(&self.words(words, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub fn fails(&self, words: &[&str], more: &[&str]) -> String {
        refused(&self.words(words, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What needs neither the sequencer nor a key of L1.
    pub fn with_l1(&self, words: &[&str]) -> Value {
        self.run(words, &[])
    }

    /// The same, as a person reads it.
    pub fn reads(&self, words: &[&str]) -> String {
        let words: Vec<String> = self.words(words, &[]).into_iter().filter(|word| word != "--json").collect();
        let output = gridveil(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What needs no answer, through the sequencer.
    pub fn look(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url")])
    }

    /// What is confirmed, through the sequencer.
    pub fn act(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url"), "--yes"])
    }

    /// The same, refused.
    pub fn cannot(&self, words: &[&str]) -> String {
        self.fails(words, &["--url", &self.net.info("url"), "--yes"])
    }

    /// What is confirmed and paid for on L1.
    pub fn pay(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url"), "--yes", "--l1-key", &self.l1_key])
    }

    /// With L1 alone.
    pub fn alone(&self, words: &[&str]) -> Value {
        self.run(words, &["--yes", "--l1-key", &self.l1_key])
    }

    /// With L1 alone, though the sequencer is still named: nobody listens there any more.
    pub fn unserved(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", "http://127.0.0.1:9", "--yes", "--l1-key", &self.l1_key])
    }

    pub fn balance(&self) -> u64 {
        self.look(&["account"])["balance_nano"].as_u64().unwrap()
    }

    /// The meter hands a day in: readings of a real home.
    pub fn submit(&self, home: u16, first_interval: Option<u64>) -> Output {
        let (url, home, community, slot) =
            (self.net.info("url"), home.to_string(), self.community.to_string(), self.slot.to_string());
        let first = first_interval.map(local_day);
        let mut words = vec![
            "meter",
            "submit",
            "data/zne17-2017-05.csv",
            "--meter",
            &home,
            "--url",
            &url,
            "--community",
            &community,
            "--slot",
            &slot,
        ];
        words.extend([
            "--keys",
            &self.keys,
            "--device",
            &self.device,
            "--outbox",
            &self.wallet,
            "--buy-limit",
            "1900",
            "--sell-limit",
            "600",
        ]);
        if let Some(first) = &first {
            words.extend(["--period", first, "--local-zone", ZONE]);
        }
        gridveil(&words)
    }

    pub fn meters(&self, home: u16) {
        let output = self.submit(home, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Consents, the meter data manager signs, and hands it in.
    pub fn managed(&self, dir: &Path, words: &[&str]) {
        let file = dir.join(format!("{}-{}-{}.json", words[0], self.community, self.slot));
        let file = file.to_str().unwrap();
        self.act(&[words, &["--out", file]].concat());
        // Into a file, it is handed to nobody, though the sequencer is named.
        let (url, kept) = (self.net.info("url"), format!("{file}.signed"));
        let written = self.net.mdm(&["sign", file, "--url", &url, "--out", &kept]);
        assert!(written.get("sequencer").is_none() && Path::new(&kept).exists(), "{written}");
        let signed = self.net.mdm(&["sign", file, "--url", &url]);
        assert_eq!(signed["sequencer"], "accepted", "{signed}");
    }
}

/// Zone of the tariff, in which a period is a day.
pub const ZONE: &str = "America/Los_Angeles";

/// The local day that a period is, by its first interval.
pub fn local_day(first_interval: u64) -> String {
    let begins = jiff::Timestamp::from_second(i64::try_from(first_interval * 3600).unwrap()).unwrap();
    begins.in_tz(ZONE).unwrap().date().to_string()
}

/// The contract, asked by a client of our own.
fn ask<T>(net: &Net, question: impl AsyncFnOnce(EthersClient) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let contract = gridveil_meter_client::submit::address(&net.info("contract"));
    runtime.block_on(async { question(EthersClient::connect(&net.info("rpc"), None, contract).await.unwrap()).await })
}

pub fn tokens(net: &Net, account: &str) -> u128 {
    let account = gridveil_meter_client::submit::address(account).unwrap();
    ask(net, async |l1| l1.token_balance(account).await.unwrap())
}

/// The hash of the latest block, hex.
pub fn latest(net: &Net) -> String {
    ask(net, async |l1| hex0(l1.block(None).await.unwrap().hash))
}

/// Hastens a verifier, which on a chain with a sound one cannot be done: all members may leave until then.
pub fn hasten(net: &Net, until_s: u64) {
    // `_leaveUntil`: bytes 25 to 29 of this word, from the lowest (`forge inspect GridveilRegistry storage-layout`).
    const LEAVE_UNTIL: (&str, usize) = ("0x5", 25);
    let registry = ask(net, async |l1| l1.inspect(None).await.unwrap().registry.address);
    let mut word = [0; 32];
    let end = word.len() - LEAVE_UNTIL.1;
    word[end - 5..end].copy_from_slice(&until_s.to_be_bytes()[3..]);
    common::node(&net.info("rpc"), "anvil_setStorageAt", json!([hex0(registry), LEAVE_UNTIL.0, hex0(word)]));
}

/// Units of the contract's token in nano.
pub const NANO_PER_TOKEN: u128 = 1_000;
