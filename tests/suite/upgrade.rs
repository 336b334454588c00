//! A devnet that lives through an upgrade: its people go on while the operator moves it to a circuit with one constraint
//! more and another key; afterwards an auditor replays both versions in one run.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common;
use gridveil_auditor::{AuditReport, audit, native::NativeVerifier};
use gridveil_circuits::version::ONE_MORE;
use gridveil_meter_client::{cli::utc, submit::address};
use gridveil_protocol::{instance::ROWS, params::Shape, version::CircuitVersion};
use gridveil_prover::{
    progress::Silent,
    prover::{Prover, ProverConfig},
    srs::{LOCAL_CHAIN_ID, Srs, SrsSource},
};
use gridveil_verifier_contract::{EthersClient, VerifierInit, address_of, codegen::generate_settlement_verifier};
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CACHE: &str = "target/cache/gridveil";
/// Keys are made where there are none yet: on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(600);
/// A small circuit: periods of two hours.
const SHAPE: &str = "tiny-4x2";
const PERIOD: u64 = 2;
/// The chain begins fifteen days before the first period: a verifier that is registered then is active a day before it.
const LEAD_HOURS: u64 = 15 * 24;
/// The first period under the new version, counted from the first of all.
const SWITCH: u64 = 3;

fn shape() -> Shape {
    Shape::by_name(SHAPE).unwrap()
}

/// A devnet's process, interrupted when it is dropped.
struct Net {
    child: Child,
    dir: PathBuf,
}

impl Net {
    fn up(dir: &Path) -> Self {
        let words = ["devnet", "up", "--dir", dir.to_str().unwrap(), "--members", "1", "--shape", SHAPE];
        let child = Command::new(env!("CARGO_BIN_EXE_gridveil"))
            .args([&words[..], &["--lead-hours", &LEAD_HOURS.to_string(), "--cache", CACHE]].concat())
            .current_dir(ROOT)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut net = Self { child, dir: dir.to_path_buf() };
        let start = Instant::now();
        while !net.dir.join("devnet.json").exists() {
            assert!(net.child.try_wait().unwrap().is_none(), "the devnet ended");
            assert!(start.elapsed() < UP_WITHIN, "the devnet is not up");
            std::thread::sleep(Duration::from_millis(50));
        }
        net
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn devnet(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.dir.join("devnet.json")).unwrap()).unwrap()
    }

    fn info(&self, name: &str) -> String {
        self.devnet()[name].as_str().unwrap().to_owned()
    }

    /// First interval of a period, counted from the first of all.
    fn interval(&self, period: u64) -> u64 {
        self.devnet()["active_from"].as_u64().unwrap() - PERIOD + PERIOD * period
    }

    /// A period passes in the first community, and is final; the period it was.
    fn settle(&self) -> u64 {
        let settled = good(&["devnet", "settle", "--dir", self.dir.to_str().unwrap(), "--community", "0", "--json"]);
        assert_eq!(settled[0]["substituted"], 0, "{settled}");
        (settled[0]["first_interval"].as_u64().unwrap() - self.interval(0)) / PERIOD
    }

    fn l1_words(&self) -> Vec<String> {
        ["--rpc", &self.info("rpc"), "--contract", &self.info("contract")].map(str::to_owned).to_vec()
    }

    fn mdm(&self, words: &[&str]) -> Value {
        let (keys, passphrase) = (self.file("mdm.keys"), self.file("mdm.passphrase"));
        let key = ["--keys", &keys, "--passphrase-file", &passphrase, "--yes", "--json"];
        let l1 = self.l1_words();
        good(&[&["mdm"], words, &l1.iter().map(String::as_str).collect::<Vec<_>>(), &key].concat())
    }

    fn operator(&self, words: &[&str]) -> Output {
        let (admin, token) = (self.info("admin"), self.file("admin.token"));
        gridveil(&[&["operator"], words, &["--admin", &admin, "--admin-token", &token, "--json"]].concat())
    }

    fn upgrade(&self, version: u64, period: u64) -> Output {
        self.upgrade_at(version, self.interval(period))
    }

    /// From the beginning of an interval of an hour.
    fn upgrade_at(&self, version: u64, interval: u64) -> Output {
        let from = utc(i64::try_from(interval * 3600).unwrap());
        self.operator(&["upgrade", "plan", "--circuit-version", &version.to_string(), "--from", &from, "--yes"])
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn gridveil(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridveil"));
    command.args(words).current_dir(ROOT).env_remove("GRIDVEIL_L1_KEY").env("GRIDVEIL_PASSPHRASE", "a passphrase");
    command.stdin(Stdio::null()).output().unwrap()
}

fn json(output: Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn good(words: &[&str]) -> Value {
    json(gridveil(words))
}

fn refusal(output: Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The one member, in slot 0.
struct Member {
    keys: String,
    wallet: String,
}

impl Member {
    fn run(&self, net: &Net, words: &[&str]) -> Value {
        let (l1, url, l1_key) = (net.l1_words(), net.info("url"), net.file("l1-0.key"));
        let place = ["--url", &url, "--community", "0", "--slot", "0", "--keys", &self.keys, "--wallet", &self.wallet];
        let l1_key: &[&str] = if words[0] == "deposit" { &["--l1-key", &l1_key] } else { &[] };
        let yes: &[&str] = if words[0] == "account" { &[] } else { &["--yes"] };
        let l1: Vec<&str> = l1.iter().map(String::as_str).collect();
        good(&[&["member"], words, &l1, &place, l1_key, yes, &["--json"]].concat())
    }

    /// The meter hands in a period of a real home.
    fn submit(&self, net: &Net, period: Option<u64>) -> Output {
        let (url, first) = (net.info("url"), period.map(|period| net.interval(period).to_string()));
        let file = ["meter", "submit", "data/zne17-2017-05.csv", "--meter", "2", "--url", &url];
        let place = ["--community", "0", "--slot", "0", "--keys", &self.keys, "--outbox", &self.wallet];
        let first: Vec<&str> = first.iter().flat_map(|first| ["--first-interval", first.as_str()]).collect();
        gridveil(&[&file[..], &place, &["--buy-limit", "1900", "--sell-limit", "600"], &first].concat())
    }

    fn meters(&self, net: &Net) {
        let output = self.submit(net, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn enrol(&self, net: &Net) {
        let payout = address_of(&std::fs::read_to_string(net.file("l1-0.key")).unwrap()).unwrap();
        let (payout, out) = (format!("0x{}", hex::encode(payout)), net.file("enrol.json"));
        self.run(net, &["enrol", "--terms", &net.file("terms.json"), "--payout", &payout, "--out", &out]);
        let signed = net.mdm(&["sign", &out, "--url", &net.info("url")]);
        assert_eq!(signed["sequencer"], "accepted", "{signed}");
    }
}

/// L1 with the operator's key, who is its upgrader too.
async fn l1(net: &Net) -> EthersClient {
    let key = std::fs::read_to_string(net.file("operator.key")).unwrap();
    EthersClient::connect(&net.info("rpc"), Some(key.trim()), address(&net.info("contract"))).await.unwrap()
}

/// Registers the verifier of the second circuit.
async fn register(net: &Net) {
    let cache = Path::new(ROOT).join(CACHE);
    let config = ProverConfig { version: ONE_MORE, ..ProverConfig::local(&cache, vec![shape()]) };
    let prover: Prover = Prover::open(&config, &Silent).unwrap();
    let (params, keys) = prover.params(SHAPE).zip(prover.keys(SHAPE)).unwrap();
    let verifier =
        generate_settlement_verifier(params, &keys.vk, vec![ROWS.len()], "SettlementTiny4x2OneMore").unwrap();
    let l1 = l1(net).await;
    let init = VerifierInit {
        shape: shape().id,
        slots: u32::try_from(shape().members).unwrap(),
        m: u16::try_from(shape().intervals).unwrap(),
        verifier: l1.deploy_code(&verifier.creation).await.unwrap(),
        proof_length: u32::try_from(verifier.stats.proof_bytes).unwrap(),
    };
    l1.register_verifier(u32::try_from(ONE_MORE.number()).unwrap(), init).await.unwrap();
}

fn audited(runtime: &tokio::runtime::Runtime, net: &Net, versions: &[CircuitVersion]) -> AuditReport {
    let cache = Path::new(ROOT).join(CACHE);
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &cache).unwrap();
    let params = srs.params(shape().k, &Silent).unwrap();
    let mut verifier = NativeVerifier::default();
    for version in versions {
        verifier.add(*version, shape(), Arc::clone(&params)).unwrap();
    }
    // Both communities begin with their first batch: there is no genesis state.
    runtime.block_on(async { audit(&l1(net).await, &verifier, &[], 0).await.unwrap() })
}

/// Everything that is held of the member, under both versions, is given while it lives, and holds against L1.
fn exported(net: &Net, out: &Path) {
    let (out, notice) = (out.to_str().unwrap(), net.file("notice.toml"));
    let template = std::fs::read_to_string(Path::new(ROOT).join("docs/gdpr/notice.toml")).unwrap();
    std::fs::write(&notice, template.replace("FILL IN", "the devnet")).unwrap();
    let key = net.file("operator.key");
    let words = ["member", "export", "--community", "0", "--slot", "0", "--out", out, "--notice", &notice];
    let export = json(net.operator(&[&words[..], &["--operator-key", &key]].concat()));
    assert_eq!((export["state"].as_str(), export["erased_entries"].as_u64()), (Some("open"), Some(0)), "{export}");
    let operator = address_of(&std::fs::read_to_string(&key).unwrap()).unwrap();
    let (operator, l1) = (format!("0x{}", hex::encode(operator)), net.l1_words());
    let l1: Vec<&str> = l1.iter().map(String::as_str).collect();
    let checked = good(&[&["member", "export", "check", out, "--account", &operator, "--json"], &l1[..]].concat());
    let count = |name: &str| checked[name].as_u64().unwrap();
    assert_eq!(["receipts", "roots_on_l1", "tariffs_on_l1"].map(count), [5, 5, 5], "{checked}");
    // Four periods in which its meter sent something; enrolment, deposit, withdrawal.
    assert_eq!([count("packets_of_the_meter"), count("operations")], [4, 3], "{checked}");
}

#[test]
fn a_living_devnet_goes_over_to_a_second_circuit() {
    let _turn = common::turn();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let net = Net::up(&dir.path().join("net"));
    let member = Member { keys: path("keys"), wallet: path("wallet") };
    good(&["meter", "keygen", "--keys", &member.keys, "--json"]);
    let next = ONE_MORE.number();
    assert!(refusal(net.upgrade(next, SWITCH)).contains("upgrade.verifier"), "nobody was told of it on L1");
    runtime.block_on(register(&net));
    assert!(refusal(net.upgrade(next, 0)).contains("upgrade.time"), "that period is open");
    member.enrol(&net);
    assert_eq!(net.settle(), 0);

    // Signed before anybody knew of the upgrade, and too early.
    assert!(refusal(member.submit(&net, Some(SWITCH))).contains("packet.early"));
    member.run(&net, &["deposit", "50"]);
    member.meters(&net);
    assert!(refusal(net.upgrade(3, SWITCH)).contains("upgrade.version"));
    assert!(refusal(net.upgrade(next, 0)).contains("upgrade.time"), "that is past");
    assert!(refusal(net.upgrade(next, SWITCH)).contains("upgrade.announcement"), "who leaves is asked first");
    runtime.block_on(async { l1(&net).await.announce_upgrade(u32::try_from(next).unwrap()).await.unwrap() });
    let planned = json(net.upgrade(next, SWITCH));
    assert_eq!(planned["community_0"], net.interval(SWITCH), "{planned}");
    assert!(refusal(net.upgrade(next, SWITCH + 1)).contains("upgrade.pending"));

    // Life goes on under the old version, as far as the switch.
    assert_eq!(net.settle(), 1);
    for period in 2..SWITCH {
        member.meters(&net);
        assert_eq!(net.settle(), period);
    }
    // The packet that was kept is signed again; then everything is started again from the log.
    member.meters(&net);
    drop(net);
    let net = Net::up(&dir.path().join("net"));
    assert_eq!(net.settle(), SWITCH);
    member.run(&net, &["withdraw", "5"]);
    member.meters(&net);
    assert_eq!(net.settle(), SWITCH + 1);
    let account = member.run(&net, &["account"]);
    let balance = account["balance_nano"].as_u64().unwrap();
    assert!(0 < balance && balance < 50_000_000_000, "every statement holds, of both versions: {account}");

    exported(&net, &dir.path().join("export"));
    // One run over both versions; and with the old keys removed, the version that is missing.
    let report = audited(&runtime, &net, &[CircuitVersion::V2, ONE_MORE]);
    assert_eq!((report.failures.as_slice(), report.batches, report.proofs_verified), (&[][..], 5, 5));
    let uses: Vec<_> = report.versions.iter().map(|used| (used.version, used.native.to_string())).collect();
    assert_eq!(uses, [(CircuitVersion::V2, "1-3".to_owned()), (ONE_MORE, "4-5".to_owned())]);
    let report = audited(&runtime, &net, &[ONE_MORE]);
    assert!(!report.is_ok() && report.proofs_verified == 2);
    assert_eq!(Vec::from_iter(report.missing_versions()), [CircuitVersion::V2]);
    assert!(report.failures.iter().all(|failure| failure.what.contains("circuit version 2 is missing")));
}
