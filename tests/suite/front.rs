//! The sequencer's process as a stranger, a thief and a system meet it: what it shows of its secrets, what it does when it is
//! asked to end, when L1 is away, and when somebody takes every connection.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use gridveil_protocol::{field::to_bytes, fixture, hex::hex0, params::STATE_DEPTH, tree::SparseTree};
use serde_json::{Value, json};

use crate::common::{
    gridveil,
    process::{Process, SOON, wait},
    write_secret,
};

/// What no place may show.
const PLANTED: &str = "PLANTED";
const CONTRACT: &str = "0x1111111111111111111111111111111111111111";
const UP: u8 = 0;
const REFUSES: u8 = 1;
const HANGS_UP: u8 = 2;
const HANGS: u8 = 3;

/// A node that has a contract with an empty state, and no more.
struct L1 {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
}

impl L1 {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, mode) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(UP)));
        let how = Arc::clone(&mode);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, how) = (stream.unwrap(), Arc::clone(&how));
                std::thread::spawn(move || answer(stream, &how));
            }
        });
        Self { address, mode }
    }

    fn is(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    /// As an operator has it of a service: with keys wherever an address can have one.
    fn url(&self) -> String {
        format!("http://PLANTED-user:PLANTED-pass@{}/v3/PLANTED-path-key?k=PLANTED-query", self.address)
    }
}

fn answer(mut stream: TcpStream, how: &AtomicU8) {
    let mut request = Vec::new();
    let body: Value = loop {
        let mut some = [0; 4096];
        let Ok(read @ 1..) = stream.read(&mut some) else { return };
        request.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some(body) = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()) {
            break body;
        }
    };
    let id = body["id"].clone();
    let answer = match how.load(Ordering::SeqCst) {
        UP if body["method"] == "eth_chainId" => json!({"jsonrpc": "2.0", "id": id, "result": "0x7a69"}),
        UP if body["method"] == "eth_call" => {
            let root = hex0(to_bytes(&SparseTree::new(STATE_DEPTH).root()));
            json!({"jsonrpc": "2.0", "id": id, "result": root})
        }
        UP | REFUSES => {
            let message = "PLANTED-path-key of PLANTED-user is over its limit";
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32005, "message": message}})
        }
        HANGS => {
            std::thread::sleep(Duration::from_secs(600));
            return;
        }
        _ => return,
    };
    let text = answer.to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}", text.len());
    let _ = write!(stream, "HTTP/1.1 200 x\r\n{head}\r\nconnection: close\r\n\r\n{text}");
}

struct World {
    dir: tempfile::TempDir,
    l1: L1,
}

impl World {
    fn new() -> Self {
        let (dir, l1) = (tempfile::tempdir().unwrap(), L1::new());
        let at = |name: &str| dir.path().join(name);
        write_secret(at("rpc"), &format!("# ours\n{}\n", l1.url()));
        write_secret(at("token"), "PLANTED-token-of-the-operator");
        write_secret(at("operator"), &"5a".repeat(32));
        let mdm = hex0(fixture::mdm_key().public().to_bytes());
        let begins = json!([{"community": 0, "shape": "tiny-4x2", "mechanism": "auction", "interval_length": 3600,
            "first_interval": 413_856, "mdm": mdm}]);
        std::fs::write(at("begin"), begins.to_string()).unwrap();
        Self { dir, l1 }
    }

    /// Options of the sequencer but for its nodes.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["sequencer".to_owned()];
        let any = "127.0.0.1:0".to_owned();
        for (option, value) in [("--bind", &any), ("--admin-bind", &any), ("--health-bind", &any)] {
            words.extend([option.to_owned(), value.clone()]);
        }
        words.extend(["--contract".to_owned(), CONTRACT.to_owned()]);
        for (option, name) in [
            ("--data", "data"),
            ("--master-key", "master"),
            ("--operator-key", "operator"),
            ("--admin-token", "token"),
            ("--begin", "begin"),
            ("--spool", "spool"),
            ("--spool-key", "spool-key"),
        ] {
            words.extend([option.to_owned(), self.dir.path().join(name).display().to_string()]);
        }
        words
    }

    /// With the file of nodes; in a shell that does this first.
    fn command(&self, first: &str) -> Command {
        let rpc = ["--rpc-file".to_owned(), self.dir.path().join("rpc").display().to_string()];
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_gridveil")]);
        command.args(self.words()).args(rpc).current_dir(self.dir.path()).env_remove("RUST_LOG");
        command
    }

    fn start(&self) -> Running {
        Running::of(&mut self.command("true"))
    }
}

struct Running {
    process: Process,
    public: SocketAddr,
    admin: SocketAddr,
    health: SocketAddr,
}

impl Running {
    fn of(command: &mut Command) -> Self {
        let mut process = Process::of(command);
        let line = process.wait("it listens", SOON, |said| {
            said.lines().find(|line| line.starts_with("public http://")).map(str::to_owned)
        });
        let mut addresses = line.split("http://").skip(1).map(|text| text.split(',').next().unwrap().parse().unwrap());
        let [public, admin, health] = [(); 3].map(|()| addresses.next().unwrap());
        Self { process, public, admin, health }
    }

    fn get(&self, at: SocketAddr, path: &str) -> String {
        let head = "host: x\r\nconnection: close\r\nauthorization: Bearer PLANTED-token-of-the-operator";
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Until readiness says this.
    fn told(&self, what: &str) -> String {
        let last = || self.get(self.health, "/readyz");
        wait(what, SOON, last, || Some(last()).filter(|answer| answer.contains(what)))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.child.id().to_string()]).status().unwrap().success());
    }

    fn of_proc(&self, file: &str) -> String {
        let bytes = std::fs::read(format!("/proc/{}/{file}", self.process.child.id())).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A node's address with keys in it, and the operator's token, are looked for in all that a process shows.
#[test]
fn planted_secrets_are_shown_nowhere() {
    let world = World::new();
    let rpc = world.dir.path().join("rpc").display().to_string();
    // A first start that fails: without a log somebody has to say which chain it is.
    for mode in [REFUSES, HANGS_UP] {
        world.l1.is(mode);
        let failed = world.command("true").env("RUST_LOG", "trace").output().unwrap();
        let text = said(&failed);
        assert!(!failed.status.success() && text.contains("--rpc"), "{text}");
        assert!(!text.contains(PLANTED), "{text}");
    }
    world.l1.is(UP);
    let running = Running::of(world.command("true").env("RUST_LOG", "trace"));
    for (mode, what) in [(REFUSES, "is over its limit"), (HANGS_UP, "the node does not answer")] {
        world.l1.is(mode);
        // The operator learns what is wrong.
        running.told(what);
        let shown = [
            running.get(running.public, "/healthz"),
            running.get(running.health, "/readyz"),
            running.get(running.health, "/metrics"),
            running.get(running.admin, "/admin/v1/status"),
            running.process.said(),
            running.of_proc("cmdline"),
        ];
        assert!(shown[3].contains("retrying") && shown[5].contains("--rpc-file"), "{shown:?}");
        for text in shown {
            assert!(!text.contains(PLANTED), "{text}");
        }
        let public = running.get(running.public, "/healthz");
        assert!(public.contains("degraded") && !public.contains(what), "{public}");
    }
    running.process.stop();

    // Other commands that take nodes: as a file, from the environment, as an argument, and in their help.
    let words: [&[&str]; 6] = [
        &["audit", "--contract", CONTRACT],
        &["operator", "role", "list", "--contract", CONTRACT],
        &["operator", "community", "list", "--contract", CONTRACT],
        &["operator", "upgrade", "status", "--contract", CONTRACT],
        &["verify-deployment", "deployment.json"],
        &["sequencer"],
    ];
    for mode in [REFUSES, HANGS_UP] {
        world.l1.is(mode);
        for words in words {
            let run = |command: &mut Command| {
                let output = command.args(words).env("RUST_LOG", "trace").output().unwrap();
                let text = said(&output);
                assert!(!output.status.success(), "{words:?}: {text}");
                assert!(!text.contains(PLANTED), "{words:?}: {text}");
                text
            };
            run(gridveil().args(["--rpc-file", &rpc]));
            run(gridveil().env("GRIDVEIL_RPC_FILE", &rpc));
            run(gridveil().env("GRIDVEIL_RPC", world.l1.url()));
            let refused = run(gridveil().arg(format!("--rpc={}", world.l1.url())));
            assert!(refused.contains("--rpc-file FILE"), "{refused}");
        }
    }
    for words in words {
        for variable in [("GRIDVEIL_RPC", world.l1.url()), ("GRIDVEIL_RPC_FILE", rpc.clone())] {
            let help = gridveil().args(words).arg("--help").env(variable.0, variable.1).output().unwrap();
            let text = said(&help);
            assert!(help.status.success() && text.contains("--rpc") && !text.contains(PLANTED), "{words:?}: {text}");
        }
    }
    // What is written down: the log, its index, the spool.
    let found =
        Command::new("grep").args(["-rlaE", "PLANTED-(user|pass|path|query|token)"]).arg(world.dir.path()).output();
    let mut names = said(&found.unwrap()).lines().map(str::to_owned).collect::<Vec<_>>();
    names.sort();
    let kept = ["rpc", "token"].map(|name| world.dir.path().join(name).display().to_string());
    assert_eq!(names, kept, "in the two files of the operator alone");
    std::fs::set_permissions(&rpc, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = said(&gridveil().args(["--rpc-file", &rpc]).args(words[0]).output().unwrap());
    assert!(refused.contains("others may read this secret"), "{refused}");
}

/// It starts with an L1 that takes questions and answers none, says so, and when it is asked to end, it answers who is there.
#[test]
fn it_starts_without_l1_and_ends_in_order() {
    let world = World::new();
    world.start().process.stop();
    world.l1.is(HANGS);
    let mut running = world.start();
    let started = running.process.wait("what it logs by itself", SOON, |said| {
        said.lines().find(|line| line.contains("sequencer started")).map(str::to_owned)
    });
    assert!(started.contains("INFO") && !started.contains("127.0.0.1"), "{started}");
    running.told("L1 does not answer");
    assert!(running.get(running.public, "/v1/info").contains("\"chain_id\":31337"));
    assert!(running.get(running.health, "/livez").starts_with("HTTP/1.1 200"));

    let mut stream = TcpStream::connect(running.public).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = "POST /v1/packets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4";
    write!(stream, "{head}\r\n\r\n[1").unwrap();
    // It is in work once this later one is answered.
    running.get(running.public, "/v1/info");
    running.signal("-TERM");
    running.process.wait("it stops", SOON, |said| said.contains("sequencer stops").then_some(()));
    wait("nobody else is taken", SOON, String::new, || TcpStream::connect(running.public).is_err().then_some(()));
    stream.write_all(b",]").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body.malformed"), "{answer}");
    let status = wait("it ends", SOON, String::new, || running.process.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", running.process.said());
    assert!(running.process.said().contains("sequencer stopped"));
}

/// Few files may be open, and one client opens far more connections than that.
#[test]
fn open_connections_shut_nobody_out() {
    let world = World::new();
    let running = Running::of(&mut world.command("ulimit -n 320"));
    let mut held = Vec::new();
    for _ in 0..400 {
        held.extend(TcpStream::connect(running.public));
    }
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..3 {
        for (at, path) in [(running.admin, "/admin/v1/status"), (running.health, "/livez"), (running.health, "/readyz")]
        {
            let answer = running.get(at, path);
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
    }
    // Another client: another address.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(running.public).await.unwrap().into_std().unwrap()
    });
    other.set_nonblocking(false).unwrap();
    other.set_read_timeout(Some(SOON)).unwrap();
    write!(other, "GET /v1/info HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.process.stop();
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    let world = World::new();
    // As far as this machine allows more than none.
    let mut running = Running::of(&mut world.command("ulimit -c unlimited 2> /dev/null"));
    let limits = running.of_proc("limits");
    let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split(' ').collect();
    assert_eq!(core.iter().filter(|word| **word == "0").count(), 2, "{core:?}");
    running.signal("-ABRT");
    let status = wait("it crashes", SOON, String::new, || running.process.child.try_wait().unwrap());
    assert!(status.signal().is_some() && !status.core_dumped(), "{status}");
    let left = std::fs::read_dir(world.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("core")));
}

/// The same options from one file, its limits and a variable before them: no option is on the command line.
#[test]
fn one_file_says_all_of_it() {
    let world = World::new();
    let words = world.words();
    let mut file = String::from("[sequencer]\nrpc_file = \"rpc\"\n");
    for pair in words[1..].chunks(2) {
        file += &format!("{} = \"{}\"\n", pair[0].trim_start_matches("--").replace('-', "_"), pair[1]);
    }
    file += "[limits]\nbody_bytes = 5000\n";
    let path = world.dir.path().join("gridveil.toml");
    std::fs::write(&path, file).unwrap();
    let start = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridveil"));
        command.args(["sequencer", "--config"]).arg(&path).envs(variables.iter().copied());
        Running::of(command.current_dir(world.dir.path()).env_remove("RUST_LOG"))
    };
    let refused = |running: &Running| {
        let body = "x".repeat(6000);
        let mut stream = TcpStream::connect(running.public).unwrap();
        let head = "host: x\r\nconnection: close\r\ncontent-type: application/json";
        write!(stream, "POST /v1/packets HTTP/1.1\r\n{head}\r\ncontent-length: 6000\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let running = start(&[]);
    assert!(refused(&running).contains("more than 5000 bytes"));
    running.signal("-TERM");
    drop(running);
    let running = start(&[("GRIDVEIL__LIMITS__BODY_BYTES", "5500")]);
    assert!(refused(&running).contains("more than 5500 bytes"));
}
