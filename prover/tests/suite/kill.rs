//! A worker process is killed (SIGKILL) at different moments; no job is lost.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::Duration,
};

use crate::common::turn;
use gridveil_prover::{
    progress::{Progress, Silent},
    prover::{Prove, ProverError},
    spool::{Spool, SpoolConfig, SpoolKey, SpoolState},
    worker::{WorkerConfig, serve},
};
use gridveil_proving_api::{
    ProofJob, ProofResult,
    fixture::{job, result},
};

const DIR: &str = "GRIDVEIL_TEST_SPOOL";
const LEASE: Duration = Duration::from_millis(250);

struct Slow(Duration);

impl Prove for Slow {
    fn prove_job(&self, job: &ProofJob, _: &dyn Progress) -> Result<ProofResult, ProverError> {
        thread::sleep(self.0);
        Ok(result(job, Vec::new()))
    }
}

fn spool(dir: &Path) -> Spool {
    Spool::open(dir, SpoolKey::new([8; 32]), SpoolConfig { lease: LEASE, attempts: 1000 }).unwrap()
}

/// Not a test by itself: the body of the worker process below, which is this executable again.
#[test]
fn worker_process() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let config = WorkerConfig { poll: Duration::from_millis(1), ..WorkerConfig::default() };
    serve(&Slow(Duration::from_millis(30)), &spool(Path::new(&dir)), &config, &AtomicBool::new(false), &Silent)
        .unwrap();
}

fn spawn(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["kill::worker_process", "--exact", "--test-threads=1"]).env(DIR, dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn no_job_is_lost_when_workers_are_killed() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let ids: Vec<_> = (0..40).map(|batch| spool.submit(&job(batch)).unwrap()).collect();
    // Killed after 5, 22, 39, ... ms: while starting, claiming, proving, writing results. Until both a result and an
    // orphaned claim were seen, however slow the machine.
    let (mut proved, mut orphaned) = (false, false);
    for round in 0..200u64 {
        let mut worker = spawn(dir.path());
        thread::sleep(Duration::from_millis(5 + 17 * round));
        worker.kill().unwrap();
        worker.wait().unwrap();
        for id in &ids {
            let state = spool.state(*id).unwrap();
            assert!(matches!(state, SpoolState::Waiting | SpoolState::Claimed | SpoolState::Done), "{state:?}");
            proved |= state == SpoolState::Done;
            orphaned |= state == SpoolState::Claimed;
        }
        if proved && orphaned && round >= 10 {
            break;
        }
    }
    assert!(proved && orphaned);
    thread::sleep(LEASE * 2);
    let config = WorkerConfig { once: true, ..WorkerConfig::default() };
    serve(&Slow(Duration::ZERO), &spool, &config, &AtomicBool::new(false), &Silent).unwrap();
    for id in ids {
        assert_eq!(spool.result(id).unwrap().unwrap().job, id);
    }
}
