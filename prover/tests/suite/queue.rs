//! `gridveil prover run --queue`, as processes: killed (SIGKILL) in the middle of a proof, stopped (SIGTERM), and every
//! job is proved once.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_prover::{
    check::Checker,
    cli::{self, ProverArgs},
    progress::Silent,
    queue::{Admin, Queue, QueueState, QueueStatus},
    spool::SpoolKey,
    srs::{Srs, SrsSource},
};
use gridveil_proving_api::{JobId, fixture::job};

use crate::common::{CACHE, postgres::Cluster, turn};

const ARGS: &str = "GRIDVEIL_TEST_ARGS";
const SECRET: &str = "hunter2-of-the-database";
const SOON: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Top {
    #[command(flatten)]
    prover: ProverArgs,
}

/// Not a test by itself: the worker process below, which is this executable again.
#[test]
fn prover_process() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args = Top::try_parse_from(std::iter::once("prover").chain(args.split(' '))).unwrap();
    if let Err(error) = cli::run(args.prover) {
        eprintln!("gridveil: {error}");
        std::process::exit(1);
    }
}

/// A process of `gridveil prover`, killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(args: &str, url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["queue::prover_process", "--exact", "--test-threads=1", "--nocapture"])
            .env(ARGS, args)
            .env("GRIDVEIL_QUEUE", url);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap().success());
    }

    /// The batch it is proving.
    fn batch(&self, admin: &Admin) -> Option<u64> {
        let name = format!("worker-{}-", self.0.id());
        admin
            .status()
            .unwrap()
            .workers
            .into_iter()
            .find(|worker| worker.name.starts_with(&name))?
            .batch
            .map(|batch| batch.try_into().unwrap())
    }

    /// How it ended, and all it said.
    fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < SOON);
            thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn jobs(status: &QueueStatus, state: &str) -> u64 {
    status.states.iter().find(|count| count.state == state).unwrap().jobs
}

fn key_file(dir: &Path, byte: u8) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(format!("key-{byte}"));
    std::fs::write(&path, format!("{byte:02x}").repeat(32)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_job_is_proved_once_whoever_is_killed() {
    const JOBS: u64 = 8;
    let Some(cluster) = Cluster::shared() else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let key = key_file(dir.path(), 8);
    // A password the server does not ask for, to see that nobody says it.
    let url = cluster.url(&cluster.database()).replace("gridveil@", &format!("gridveil:{SECRET}@"));
    let queue = Queue::new(&url.parse().unwrap(), SpoolKey::new([8; 32])).unwrap();
    let admin = Admin::new(&url.parse().unwrap()).unwrap();
    let ids: Vec<JobId> = (0..JOBS).map(|batch| queue.submit(&job(batch)).unwrap()).collect();

    // Keys first, so that the workers below begin at once.
    let setup = Process::start(&format!("setup --shape tiny-4x2 --cache {CACHE}"), &url).end();
    assert!(setup.0.success(), "{}", setup.1);
    let run = format!("run --key {key} --shape tiny-4x2 --cache {CACHE} --threads 1 --lease-s 2");

    // One is killed in the middle of a proof: twice, at whatever it is doing.
    for _ in 0..2 {
        let doomed = Process::start(&run, &url);
        let batch: u64 = until("a worker takes a job", || doomed.batch(&admin));
        doomed.signal("KILL");
        assert!(!doomed.end().0.success());
        let id = ids[usize::try_from(batch).unwrap()];
        // At worst the proof was stored in this very moment.
        assert!(matches!(
            queue.state(id).unwrap(),
            QueueState::Claimed | QueueState::Proven | QueueState::Waiting { .. }
        ));
    }
    assert_eq!(jobs(&admin.status().unwrap(), "poisoned"), 0);

    // One is stopped: its job is back at once, and not counted.
    let stopped = Process::start(&run, &url);
    let batch = until("a worker takes a job", || stopped.batch(&admin));
    let before = admin.status().unwrap();
    stopped.signal("TERM");
    let (status, said) = stopped.end();
    assert!(status.success() && said.contains("serving the queue") && !said.contains(SECRET), "{said}");
    let id = ids[usize::try_from(batch).unwrap()];
    assert!(matches!(queue.state(id).unwrap(), QueueState::Waiting { .. } | QueueState::Proven), "{before}");

    // Two real ones, one of which dies on the way.
    let (survivor, victim) = (Process::start(&run, &url), Process::start(&run, &url));
    until("the first is at work", || survivor.batch(&admin));
    until("the second is at work", || victim.batch(&admin));
    victim.signal("KILL");
    drop(victim);
    until("all jobs are proved", || (jobs(&admin.status().unwrap(), "proven") == JOBS).then_some(()));
    survivor.signal("INT");
    let (status, said) = survivor.end();
    assert!(status.success() && said.contains("proved, 0 attempts failed") && !said.contains(SECRET), "{said}");

    let checker =
        Checker::<SettlementCircuit>::new(Srs::for_chain(31_337, SrsSource::InsecureDev, Path::new(CACHE)).unwrap());
    for (batch, id) in (0..).zip(&ids) {
        checker.check(&job(batch), &queue.result(*id).unwrap().unwrap(), &Silent).unwrap();
    }
    let status = admin.status().unwrap();
    assert_eq!((jobs(&status, "waiting"), jobs(&status, "poisoned"), status.set_aside.len()), (0, 0, 0));
    // At most one attempt was lost with each of the three that were killed.
    let attempts = status.states.iter().map(|count| count.attempts).sum::<u64>();
    assert!((JOBS..=JOBS + 3).contains(&attempts), "{status}");
    let mut client = cluster.connect(url.rsplit('/').next().unwrap()).unwrap();
    let witnesses: i64 = client.query_one("SELECT count(payload) FROM gridveil_queue.jobs", &[]).unwrap().get(0);
    assert_eq!(witnesses, 0);
}

#[test]
fn commands_say_what_is_wrong_and_never_the_address() {
    let Some(cluster) = Cluster::shared() else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let database = cluster.database();
    let url = cluster.url(&database);
    let queue = Queue::new(&url.parse().unwrap(), SpoolKey::new([8; 32])).unwrap();
    let id = queue.submit(&job(1)).unwrap();
    let ask = |args: &str, url: &str| {
        let (status, said) = Process::start(args, url).end();
        assert!(!said.contains(SECRET) && !said.contains("gridveil@"), "{said}");
        (status.success(), said)
    };

    // Another key: nothing is claimed, and it is said.
    let run = |key: u8| format!("run --once --key {} --shape tiny-4x2 --cache {CACHE}", key_file(dir.path(), key));
    let (ok, said) = ask(&run(9), &url);
    assert!(!ok && said.contains("1 jobs wait, all sealed with another key"), "{said}");
    let (ok, said) = ask(&run(8), &url);
    assert!(ok && said.contains("1 proved, 0 attempts failed"), "{said}");

    let (ok, said) = ask("queue", &url);
    assert!(ok && said.contains("proven          1") && said.contains("workers alive: 0"), "{said}");
    let (ok, said) = ask("queue --json", &url);
    let json: serde_json::Value =
        serde_json::from_str(&said[said.find('{').unwrap()..=said.rfind('}').unwrap()]).unwrap();
    assert!(ok && json["states"][3]["jobs"] == 1, "{said}");
    let (ok, said) = ask(&format!("queue retry {id}"), &url);
    assert!(!ok && said.contains("is proven: only a poisoned job can be put back"), "{said}");

    for (url, says) in [
        (format!("postgres://u:{SECRET}@127.0.0.1:1/d"), "cannot be reached: connection refused"),
        (
            cluster.url("nowhere").replace("gridveil@", &format!("gridveil:{SECRET}@")),
            "refuses: no such database (SQLSTATE 3D000)",
        ),
        (cluster.url(&database).replace("gridveil@", &format!("nobody:{SECRET}@")), "user or password"),
        (format!("{SECRET}://x"), "expected postgres://user@host/database"),
    ] {
        let (ok, said) = ask("queue", &url);
        assert!(!ok && said.contains(says), "{said}");
    }
    let (ok, said) = ask("run --queue postgres://u@h/d --key no-such-file", "");
    assert!(!ok && said.contains("no-such-file"), "{said}");
}
