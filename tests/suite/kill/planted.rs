//! Every secret is planted: keys of meter, owner, meter data manager, operator, queue and master, passphrase, token, a node's
//! key, the database's password, and a day of readings. Real processes settle that day. Then all that a thief, a neighbour on
//! the machine or a reader of logs could have is searched for each of them, in every way in which it could be written.

mod forms;

use std::{
    collections::BTreeSet,
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    process::{Command, Output, Stdio},
};

use super::*;
use crate::common::{gridveil, process::wait};
use forms::Sought;
use gridveil_keystore::SealingKey;
use gridveil_meter_client::{
    device::{Device, Lock},
    key_store::{Cost, Keys},
};
use gridveil_protocol::{codec::encode_packet, packet::Reading};

const COST: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
const ZONE: &str = "America/Los_Angeles";
const READINGS: &str = "data/zne17-2017-05.csv";
/// As text, each in one file of its owner or in the environment.
const PASSPHRASE: &str = "planted passphrase Xq7-household";
const TOKEN: &str = "planted-token-of-the-operator-9Zk";
const NODE_KEY: &str = "planted0node0key0a4f1";
const DATABASE: &str = "planted-database-password-Jw3";

/// Names of what was found where it must not be.
fn found_in(sought: &Sought, place: &str, bytes: &[u8]) {
    let found = sought.found(bytes);
    assert!(found.is_empty(), "{place} shows {found:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path())
            } else if kind.is_file() {
                files.push(entry.path())
            }
        }
    }
    files
}

fn search(sought: &Sought, folder: &Path) {
    let files = files(folder);
    assert!(!files.is_empty(), "{}: nothing to search", folder.display());
    for file in files {
        found_in(sought, &file.display().to_string(), &std::fs::read(&file).unwrap());
        // Names are written down as well.
        found_in(sought, "a file's name", file.file_name().unwrap().as_encoded_bytes());
    }
}

/// What a core dump of a living process would have, where this user may look.
fn memory(pid: u32) -> Option<Vec<Vec<u8>>> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-')?;
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let (mut bytes, mut at) = (Vec::new(), from);
        while at < to {
            let mut page = vec![0; usize::try_from((to - at).min(1 << 20)).unwrap()];
            let Ok(read @ 1..) = memory.read_at(&mut page, at) else { break };
            bytes.extend_from_slice(&page[..read]);
            at += read as u64;
        }
        all.push(bytes);
    }
    Some(all)
}

/// Nobody of the same user reads a process's memory or variables: it is asked as that user, which root is not.
fn neighbours_are_kept_out(dir: &Path) {
    let root = std::fs::metadata("/proc/self").map(|of| std::os::unix::fs::MetadataExt::uid(&of)).unwrap() == 0;
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let as_neighbour = |words: &[&str]| {
        let words: Vec<&str> = if root { [&setpriv[..], words].concat() } else { words.to_vec() };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PLANTED", PASSPHRASE).current_dir("/");
        command
    };
    // From where everybody may run it.
    let binary = dir.join("gridveil");
    std::fs::copy(env!("CARGO_BIN_EXE_gridveil"), &binary).unwrap();
    for path in [dir, &binary] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let reads = |pid: u32, what: &str| {
        let file = format!("/proc/{pid}/{what}");
        let output = as_neighbour(&["head", "-c", "100", &file]).output().unwrap();
        output.status.success() && !output.stdout.is_empty()
    };
    // The control: of a process that has not asked for it.
    let mut open = as_neighbour(&["sleep", "100"]).spawn().unwrap();
    wait("the control's variables can be read", SOON, String::new, || reads(open.id(), "environ").then_some(()));
    open.kill().unwrap();
    open.wait().unwrap();
    // It waits for its passphrase.
    let binary = binary.to_str().unwrap();
    let mut ours = as_neighbour(&[binary, "meter", "keygen", "--keys", "/nowhere/home.keys"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(ours.try_wait().unwrap().is_none(), "it waits");
    for what in ["environ", "maps", "mem"] {
        assert!(!reads(ours.id(), what), "another process of the same user reads {what}");
    }
    ours.kill().unwrap();
    ours.wait().unwrap();
}

struct Planted {
    world: World,
    /// Everything; what is never in the sequencer; what is never in the prover.
    all: Sought,
    not_of_sequencer: Sought,
    not_of_prover: Sought,
    queue: Option<(String, PathBuf)>,
}

impl Planted {
    fn new() -> Self {
        let mut world = World::new();
        // A database where there is one, with a password that nobody asks for, and must not be shown all the same.
        let queue = postgres::Cluster::shared().map(|cluster| {
            let name = cluster.database();
            (cluster.url(&name).replace("gridveil@", &format!("gridveil:{DATABASE}@")), cluster.data())
        });
        if queue.is_some() {
            world = world.through("");
            for words in [&mut world.sequencer, &mut world.prover] {
                let at = words.iter().position(|word| word == "--queue").unwrap();
                words.drain(at..at + 2);
            }
        }
        let at = world.sequencer.iter().position(|word| word == "--rpc").unwrap();
        world.sequencer[at] = "--rpc-file".to_owned();
        world.sequencer[at + 1] = world.at("rpc").to_str().unwrap().to_owned();
        let node = world.anvil.url();
        write_secret(world.at("rpc"), &format!("{}/?key={NODE_KEY}\n", node.trim_end_matches('/')));
        write_secret(world.at("token"), TOKEN);
        write_secret(world.at("passphrase"), PASSPHRASE);
        let master = *blake3::hash(b"a planted master key").as_bytes();
        let options = |path: &Path, bytes: &[u8]| {
            write_secret(path, "");
            std::fs::write(path, bytes).unwrap();
        };
        options(&world.at("master"), &master);
        let home = world.plan.homes[0];
        let (meter, owner, mdm) = (genesis::meter_key(home), genesis::owner_key(home), genesis::mdm_key());
        let folder = || SealingKey::generate().unwrap();
        Keys::of(owner.clone(), folder()).create(&world.at("home.keys"), PASSPHRASE, COST).unwrap();
        Device::of(meter.clone()).create(&world.at("home.device"), Lock::Passphrase(PASSPHRASE, COST)).unwrap();
        Keys::of(mdm.clone(), folder()).create(&world.at("mdm.keys"), PASSPHRASE, COST).unwrap();

        let operator = ::hex::decode(ANVIL_KEYS[0].trim_start_matches("0x")).unwrap();
        let mut all = Sought::default();
        let (meter, owner, mdm) = (meter.to_bytes(), owner.to_bytes(), mdm.to_bytes());
        for (name, bytes) in [("meter key", &meter), ("owner key", &owner), ("mdm key", &mdm)] {
            all.bytes(name, bytes.as_ref());
        }
        all.bytes("meter seed", PublicStream::new("meter", home.into()).bytes::<64>().as_ref());
        all.bytes("owner seed", PublicStream::new("owner", home.into()).bytes::<64>().as_ref());
        for text in [("passphrase", PASSPHRASE), ("token", TOKEN), ("node key", NODE_KEY), ("database", DATABASE)] {
            all.bytes(text.0, text.1.as_bytes());
        }
        all.bytes("master key", &master);
        all.bytes("operator key", &operator);
        let households = ["meter key", "owner key", "mdm key", "meter seed", "owner seed", "passphrase"];
        let not_of_sequencer = all.only(&households);
        let operators = [&households[..], &["token", "node key", "master key", "operator key"]].concat();
        let not_of_prover = all.only(&operators);
        // In memory readings are at work.
        all.readings("readings", &world.day.homes[0].readings);
        Self { world, all, not_of_sequencer, not_of_prover, queue }
    }

    fn start(&self, words: &[String]) -> Process {
        let mut command = gridveil();
        command.args(words).env("RUST_LOG", "trace").env_remove("GRIDVEIL_RPC");
        if let Some((url, _)) = &self.queue {
            command.env("GRIDVEIL_QUEUE", url);
        }
        Process::of(&mut command)
    }

    /// A command of household or meter data manager, to its end; its output is searched.
    fn run(&self, words: &[&str], may_show_readings: bool) -> Output {
        let at = |name: &str| self.world.at(name).to_str().unwrap().to_owned();
        let mut command = gridveil();
        command.args(words).args(["--passphrase-file", &at("passphrase")]).env("RUST_LOG", "trace");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        found_in(&self.all, &format!("what {} {} logs", words[0], words[1]), &output.stderr);
        let shown = if may_show_readings { &self.not_of_prover } else { &self.all };
        found_in(shown, &format!("what {} {} says", words[0], words[1]), &output.stdout);
        output
    }
}

#[test]
fn planted_secrets_are_nowhere() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let planted = Planted::new();
    let world = &planted.world;
    if planted.queue.is_none() {
        println!("without a database: PostgreSQL is missing; jobs go through a directory");
    }
    planted.all.finds_itself();
    neighbours_are_kept_out(tempfile::tempdir().unwrap().path());

    // A day is settled.
    let mut process = planted.start(&world.sequencer);
    let (url, admin) = process.addresses();
    let public = Sequencer::new(&url, Retry { attempts: 1, ..Retry::default() }).unwrap();
    let mut operator = Operator { process, public, url, admin, token: TOKEN.to_owned() };
    let (community, first) = (world.plan.index, world.day.first_interval);
    let tariff = json!({"first_interval": first, "tariff": world.day.tariff});
    operator.ask("POST", &format!("/admin/v1/communities/{community}/tariffs"), &tariff);
    let at = |name: &str| world.at(name).to_str().unwrap().to_owned();
    let (home, silent) = (world.plan.homes[0].to_string(), world.plan.homes[3].to_string());
    let day = ["--period", "2017-05-01", "--local-zone", ZONE];
    let contract = gridveil_protocol::hex::hex0(world.l1.contract());
    let (keys, device, outbox, mdm, rpc) =
        (at("home.keys"), at("home.device"), at("outbox"), at("mdm.keys"), at("rpc"));
    let place = |slot: &'static str| ["--url", operator.url.as_str(), "--community", "0", "--slot", slot];
    let limits = ["--buy-limit", "1900", "--sell-limit", "600"];
    let own = ["--keys", keys.as_str(), "--device", device.as_str(), "--outbox", outbox.as_str()];
    let submit = [&["meter", "submit", READINGS, "--meter", &home][..], &place("0"), &day, &own, &limits].concat();
    planted.run(&submit, false);
    for slot in [1, 2] {
        let domain = operator.public.domain().unwrap();
        assert_eq!(operator.public.submit(&world.packet(domain, slot)).unwrap(), Taken::Accepted);
    }
    let l1 = ["--rpc-file", rpc.as_str(), "--contract", contract.as_str()];
    let substitute = ["mdm", "substitute", READINGS, "--meter", &silent, "--keys", &mdm, "--yes"];
    planted.run(&[&substitute[..], &place("3"), &day, &l1].concat(), true);
    let ends = world.period_end();
    world.runtime.block_on(world.l1.set_local_time(ends)).unwrap();
    let (path, body) = world.close();
    operator.ask("POST", &path, &body);
    let mut prover = planted.start(&world.prover);
    prover.wait("the batch is settled", PROVEN, |_| (world.batches() == 1).then_some(()));
    operator.process.wait("the log says so", SOON, |said| said.contains("batch final on L1").then_some(()));
    let statement = ["meter", "statement", "--zone", ZONE, "--period", "2017-05-01", "--json"];
    let own = ["--keys", keys.as_str(), "--outbox", outbox.as_str()];
    planted.run(&[&statement[..], &place("0"), &own, &l1].concat(), true);

    // What it answers to anybody, and how it refuses.
    let said = operator.process.said();
    let health = said.split("health http://").nth(1).unwrap().split([',', '\n']).next().unwrap().to_owned();
    let public = operator.url.trim_start_matches("http://").to_owned();
    let wrong = |body: &str| format!("content-length: {}\r\ncontent-type: application/json\r\n\r\n{body}", body.len());
    let packet = serde_json::to_string(&world.packet(operator.public.domain().unwrap(), 0)).unwrap();
    for (to, what) in [
        (&health, "GET /metrics HTTP/1.1\r\n\r\n".to_owned()),
        (&health, "GET /readyz HTTP/1.1\r\n\r\n".to_owned()),
        (&public, "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        (&public, "GET /v1/communities/0 HTTP/1.1\r\n\r\n".to_owned()),
        (&public, format!("POST /v1/packets HTTP/1.1\r\n{}", wrong(&packet[..packet.len() - 2]))),
        (&public, format!("POST /v1/packets HTTP/1.1\r\n{}", wrong(&packet))),
        (&operator.admin, format!("GET /admin/v1/status HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\n\r\n")),
        (&operator.admin, "GET /admin/v1/status HTTP/1.1\r\nauthorization: Bearer another-token\r\n\r\n".to_owned()),
    ] {
        let mut stream = TcpStream::connect(to.as_str()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let asked = what.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", 1);
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 "), "{what}: no answer");
        found_in(&planted.all, what.lines().next().unwrap(), &answer);
    }

    // What everybody on the machine sees of a process, and what a core dump of it would have.
    let pids = [("sequencer", operator.process.child.id()), ("prover", prover.child.id())];
    for (name, pid) in pids {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(words.starts_with(env!("CARGO_BIN_EXE_gridveil").as_bytes()));
        found_in(&planted.all, &format!("arguments of the {name}"), &words);
    }
    for ((name, pid), never) in pids.into_iter().zip([&planted.not_of_sequencer, &planted.not_of_prover]) {
        let Some(memory) = memory(pid) else {
            println!("memory of the {name} is not looked at: only root could");
            continue;
        };
        let all: BTreeSet<_> = memory.iter().flat_map(|bytes| planted.all.found(bytes)).collect();
        println!("memory of the {name}, {} MiB, has: {all:?}", memory.iter().map(Vec::len).sum::<usize>() >> 20);
        assert!(name != "sequencer" || all.contains("master key"), "the control: it works with that key");
        memory.iter().for_each(|bytes| found_in(never, &format!("memory of the {name}"), bytes));
    }

    // It crashes, as far as a core dump is allowed at all.
    assert!(Command::new("kill").args(["-TERM", &pids[1].1.to_string()]).status().unwrap().success());
    wait("the prover ends", SOON, String::new, || prover.child.try_wait().unwrap());
    assert!(Command::new("kill").args(["-ABRT", &pids[0].1.to_string()]).status().unwrap().success());
    let status = wait("it crashes", SOON, String::new, || operator.process.child.try_wait().unwrap());
    assert!(status.signal().is_some() && !status.core_dumped(), "{status}");
    found_in(&planted.all, "the sequencer's log", operator.process.said().as_bytes());
    found_in(&planted.all, "the prover's log", prover.said().as_bytes());
    assert!(operator.process.said().lines().count() > 100, "it logged all that it can");

    // The data directory, its backup, the queue.
    let backup = world.at("backup");
    assert!(Command::new("cp").arg("-r").args([world.at("log"), backup.clone()]).status().unwrap().success());
    search(&planted.all, &world.at("log"));
    search(&planted.all, &backup);
    match &planted.queue {
        Some((_, data)) => search(&planted.all, data),
        None => search(&planted.all, &world.at("spool")),
    }
    search(&planted.all, &world.at("outbox"));

    // The control: where each of them is, and nowhere else. What the genesis has are openings, and no key.
    let mut kept = BTreeSet::new();
    for file in files(world.directory.path()) {
        let name = file.strip_prefix(world.directory.path()).unwrap().display().to_string();
        for found in planted.all.found(&std::fs::read(&file).unwrap()) {
            kept.insert((name.clone(), found));
        }
    }
    let mut expected: Vec<(&str, &str)> = vec![
        ("master", "master key"),
        ("operator", "operator key"),
        ("passphrase", "passphrase"),
        ("rpc", "node key"),
        ("token", "token"),
    ];
    expected.sort_unstable();
    let kept: Vec<(&str, &str)> = kept.iter().map(|(file, found)| (file.as_str(), *found)).collect();
    assert_eq!(kept, expected, "each in the file of its owner alone");
}

/// Readings are found in a packet, whichever way it is written.
#[test]
fn readings_are_found_where_they_are() {
    let readings: Vec<Reading> = (0..24).map(|n| Reading { import: 600 + 37 * n, export: 11 * (n % 5) }).collect();
    let mut sought = Sought::default();
    sought.readings("readings", &readings);
    sought.finds_itself();
    let context = Context {
        domain: Fr::from(1u64),
        community: 0,
        first_interval: gridveil_protocol::units::Interval(10),
        interval_length: 3600,
        intervals: 24,
    };
    let salts = PublicStream::new("test salts", 0).packet_salts();
    let limits = Limits::of(1, gridveil_protocol::market::Mechanism::Auction);
    let day = gridveil_demo::packets::HomeDay::metered(readings);
    let signed = packets::packet(context, 0, limits, day, salts).sign(&genesis::meter_key(1)).unwrap();
    assert_eq!(sought.found(&encode_packet(&signed)).len(), 1, "in its bytes");
    assert_eq!(sought.found(&serde_json::to_vec(&signed).unwrap()).len(), 1, "in its JSON");
    assert!(sought.found(&serde_json::to_vec(&signed.packet.context).unwrap()).is_empty());
}
