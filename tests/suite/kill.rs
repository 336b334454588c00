//! LOG.1: `kill -9`, again and again, while one day of four homes is settled by real processes. What was acknowledged is not
//! lost, what was settled is not settled twice, and the outcome is the one the rules give.

mod cycles;
mod database;
mod minutes;
mod planted;
mod spool;
mod week;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::common::{
    ROOT, cache, chain_is_missing, postgres,
    process::{Process, SOON},
    turn, write_secret,
};
use gridveil_api::beginning::PublicStream;
use gridveil_api::public::Taken;
use gridveil_demo::{
    data::{MONTH, TARIFF},
    demo::{
        deploy::deploy,
        scenario::{Day, FEWEST_DAYS, Scenario, TARIFF_SET},
    },
    genesis::{self, Limits, Plan},
    ledger::Ledger,
    packets,
    time_of_use::TimeOfUse,
};
use gridveil_meter_client::{
    l1::JsonRpc,
    statement::{self, Asked, Own},
    submit::{ApiError, Retry, Sequencer},
};
use gridveil_protocol::{
    field::{Fr, to_bytes},
    owner::owner_of,
    packet::{Context, SignedPacket},
};
use gridveil_prover::queue::Admin;
use gridveil_sequencer::store::{Opened, Store};
use gridveil_verifier_contract::{
    AuditorL1, ChainL1, EthersClient, OperatorL1,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    codegen::artifact::VerifierArtifact,
};
use serde_json::{Value, json};

const HOMES: usize = 4;
/// A proof, and keys where there are none yet: on a busy machine.
const PROVEN: Duration = Duration::from_secs(400);

/// A running sequencer.
struct Operator {
    process: Process,
    public: Sequencer,
    url: String,
    admin: String,
    token: String,
}

impl Operator {
    fn request(&self, method: &str, path: &str, body: &Value) -> TcpStream {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
            self.token
        );
        let head = format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut answer = String::new();
        self.request(method, path, body).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    fn status(&self) -> Value {
        let status = self.ask("GET", "/admin/v1/status", &Value::Null);
        assert!(status["stopped"].is_null(), "the pipeline stopped: {status}");
        status
    }

    fn kill(self) {
        self.process.kill();
    }

    fn stop(self) {
        self.process.stop();
    }
}

struct World {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    l1: EthersClient,
    plan: Plan,
    day: Day,
    sequencer: Vec<String>,
    prover: Vec<String>,
    token: String,
    // The last to go: nothing may outlive the chain it talks to.
    anvil: Anvil,
}

/// The bytes of `0x` and hex digits.
fn hex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let Scenario { mut plan, days, .. } =
            Scenario::parse(MONTH, &TimeOfUse::parse(TARIFF).unwrap(), FEWEST_DAYS).unwrap();
        let mut day = days.into_iter().next().unwrap();
        plan.homes.truncate(HOMES);
        day.homes.truncate(HOMES);

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let starts = day.first_interval.start(plan.interval_length);
        let anvil =
            Anvil::spawn_with(&AnvilOptions { timestamp: Some(starts - 3600), ..AnvilOptions::default() }).unwrap();
        let artifact =
            std::fs::read(Path::new(ROOT).join("verifier-contract/artifacts/SettlementHome32x24.json")).unwrap();
        let artifact: VerifierArtifact = serde_json::from_slice(&artifact).unwrap();
        let l1 = runtime.block_on(async {
            let l1 =
                deploy(&anvil.url(), &[plan.community().unwrap()], &hex(&artifact.bytecode), artifact.proof_length)
                    .await
                    .unwrap();
            l1.register_tariff(TARIFF_SET, day.first_interval.0, to_bytes(&day.tariff.commitment())).await.unwrap();
            l1
        });

        let token = "a token of the test".to_owned();
        write_secret(at("genesis"), &serde_json::to_string(&[plan.community().unwrap()]).unwrap());
        write_secret(at("token"), &token);
        write_secret(at("operator"), ANVIL_KEYS[0]);
        let contract = l1.contract().iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"));
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        // Ports are chosen by the system at every start, and reported.
        let mut sequencer = words("sequencer --bind 127.0.0.1:0 --admin-bind 127.0.0.1:0 --health-bind 127.0.0.1:0");
        for (option, value) in [
            ("--data", at("log")),
            ("--master-key", at("master")),
            ("--rpc", anvil.url()),
            ("--contract", contract),
            ("--operator-key", at("operator")),
            ("--admin-token", at("token")),
            ("--genesis", at("genesis")),
            ("--spool", at("spool")),
            ("--spool-key", at("spool-key")),
        ] {
            sequencer.extend([option.to_owned(), value]);
        }
        let mut prover = words("prover run --lease-s 2 --attempts 9 --shape home-32x24");
        let cache = cache().to_str().unwrap().to_owned();
        for (option, value) in [("--dir", at("spool")), ("--key", at("spool-key")), ("--cache", cache)] {
            prover.extend([option.to_owned(), value]);
        }
        Self { directory, runtime, l1, plan, day, sequencer, prover, token, anvil }
    }

    /// With provers behind a database instead of a spool.
    fn through(mut self, queue: &str) -> Self {
        let rename = |args: &mut Vec<String>, old: &str, new: &str| {
            let at = args.iter().position(|arg| arg == old).unwrap();
            args[at] = new.to_owned();
            at + 1
        };
        for (args, old) in [(&mut self.sequencer, "--spool"), (&mut self.prover, "--dir")] {
            let value = rename(args, old, "--queue");
            args[value] = queue.to_owned();
        }
        rename(&mut self.sequencer, "--spool-key", "--queue-key");
        self.sequencer.extend(["--cache".to_owned(), cache().to_str().unwrap().to_owned()]);
        self
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sequencer(&self) -> Operator {
        let mut process = Process::start(&self.sequencer);
        let (public, admin) = process.addresses();
        let retry = Retry { attempts: 1, ..Retry::default() };
        let own = Sequencer::new(&public, retry).unwrap();
        Operator { process, public: own, url: public, admin, token: self.token.clone() }
    }

    fn prover(&self) -> Process {
        Process::start(&self.prover)
    }

    /// Files in a place of the spool.
    fn spooled(&self, place: &str) -> usize {
        std::fs::read_dir(self.at("spool").join(place)).map_or(0, Iterator::count)
    }

    fn packet(&self, domain: Fr, slot: usize) -> SignedPacket {
        let (plan, day) = (&self.plan, &self.day);
        let context = Context {
            domain,
            community: plan.index,
            first_interval: day.first_interval,
            interval_length: plan.interval_length,
            intervals: u16::try_from(plan.shape.intervals).unwrap(),
        };
        let (home, number) = (plan.homes[slot], u16::try_from(slot).unwrap());
        let salts = PublicStream::new("test salts", number.into()).packet_salts();
        packets::packet(context, number, Limits::of(home, plan.mechanism), day.homes[slot].clone(), salts)
            .sign(&genesis::meter_key(home))
            .unwrap()
    }

    fn close(&self) -> (String, Value) {
        (format!("/admin/v1/communities/{}/close", self.plan.index), json!({"first_interval": self.day.first_interval}))
    }

    /// Unix seconds at which the period is over.
    fn period_end(&self) -> u64 {
        let intervals = u32::try_from(self.plan.shape.intervals).unwrap();
        (self.day.first_interval + intervals).start(self.plan.interval_length)
    }

    fn batches(&self) -> u64 {
        self.runtime.block_on(self.l1.batch_count()).unwrap()
    }

    /// The log as it is now; only while no sequencer runs.
    fn open(&self, log: &Path) -> Opened {
        Store::open(log, &self.at("master"), None).unwrap()
    }
}
