use super::*;
use crate::{job::fixture::job, pool::tests::answer};

fn spool(root: &Path, lease: Duration) -> Spool {
    Spool::open(root, SpoolKey::new([3; 32]), SpoolConfig { lease, attempts: 2 }).unwrap()
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_job_goes_in_and_its_result_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), LONG);
    let id = spool.submit(&job(1)).unwrap();
    assert_eq!(spool.submit(&job(1)).unwrap(), id);
    assert_eq!(spool.state(id).unwrap(), SpoolState::Waiting);
    let claim = spool.claim("a").unwrap().unwrap();
    assert_eq!((claim.id, claim.attempt, &claim.job), (id, 1, &job(1)));
    assert_eq!(spool.state(id).unwrap(), SpoolState::Claimed);
    assert!(spool.claim("b").unwrap().is_none(), "one claim a job");
    assert!(claim.beat());
    assert_eq!(spool.redeliver("b").unwrap(), 0);
    spool.finish(&claim, &answer(&claim.job)).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Done);
    assert_eq!(spool.result(id).unwrap(), Some(answer(&job(1))));
    assert_eq!(spool.submit(&job(1)).unwrap(), id);
    assert!(spool.claim("b").unwrap().is_none(), "proved once");
    spool.forget(id).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Unknown);
}

#[test]
fn what_nobody_touches_for_long_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), LONG);
    let [left, done, held, fresh] = [1, 2, 3, 4].map(job);
    let ids = [&left, &done, &held].map(|job| spool.submit(job).unwrap());
    let claims: Vec<Claim> = std::iter::from_fn(|| spool.claim("a").unwrap()).collect();
    let of = |id| claims.iter().find(|claim| claim.id == id).unwrap();
    spool.release(of(ids[0])).unwrap();
    spool.finish(of(ids[1]), &answer(&done)).unwrap();
    fs::write(dir.path().join("poisoned/x"), "set aside").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3 * 86_400);
    for place in ["jobs", "claimed", "results", "poisoned"] {
        for entry in fs::read_dir(dir.path().join(place)).unwrap() {
            fs::File::options().write(true).open(entry.unwrap().path()).unwrap().set_modified(long_ago).unwrap();
        }
    }
    assert!(of(ids[2]).beat(), "a worker is at it");
    let fresh = spool.submit(&fresh).unwrap();
    assert_eq!(spool.remove_older(Duration::from_secs(4 * 86_400)).unwrap(), 0);
    assert_eq!(spool.remove_older(Duration::from_secs(2 * 86_400)).unwrap(), 3);
    let states = [ids[0], ids[1], ids[2], fresh].map(|id| spool.state(id).unwrap());
    let [unknown, claimed, waiting] = [SpoolState::Unknown, SpoolState::Claimed, SpoolState::Waiting];
    assert_eq!(states, [unknown.clone(), unknown, claimed, waiting]);
    // Who waits for it puts it in again.
    assert_eq!(spool.submit(&left).unwrap(), ids[0]);
    assert_eq!(spool.state(ids[0]).unwrap(), SpoolState::Waiting);
}

#[test]
fn a_silent_workers_job_is_delivered_again_and_then_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), Duration::ZERO);
    let id = spool.submit(&job(1)).unwrap();
    for attempt in [1, 2] {
        let claim = spool.claim("dead").unwrap().unwrap();
        assert_eq!(claim.attempt, attempt);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(spool.redeliver("b").unwrap(), 1);
        assert!(!claim.beat(), "the dead worker's claim is gone");
    }
    assert!(matches!(spool.state(id).unwrap(), SpoolState::Poisoned(error) if error.contains("silent")));
    // A worker that was only slow hands in all the same.
    spool.forget(id).unwrap();
    spool.submit(&job(1)).unwrap();
    let slow = spool.claim("slow").unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    spool.redeliver("b").unwrap();
    spool.finish(&slow, &answer(&slow.job)).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Done);
    assert!(
        spool.claim("b").unwrap().is_none() && spool.list("jobs").unwrap().is_empty(),
        "the second delivery is dropped"
    );
}

#[test]
fn failures_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), LONG);
    let id = spool.submit(&job(1)).unwrap();
    spool.fail(&spool.claim("a").unwrap().unwrap(), "first", false).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Waiting);
    spool.fail(&spool.claim("a").unwrap().unwrap(), "second", false).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Poisoned("second".into()));
    let other = spool.submit(&job(2)).unwrap();
    spool.fail(&spool.claim("a").unwrap().unwrap(), "refused", true).unwrap();
    assert_eq!(spool.state(other).unwrap(), SpoolState::Poisoned("refused".into()));
}

#[test]
fn nothing_is_readable_or_exchangeable_without_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), LONG);
    let ids = [1, 2].map(|batch| spool.submit(&job(batch)).unwrap());
    let [a, b] = [0, 1].map(|n| spool.at("jobs", format!("{}.1.{}", ids[n], n + 1)));
    let sealed = fs::read(&a).unwrap();
    assert!(!sealed.windows(8).any(|window| window == b"readings" || window == b"\"batch\":"));
    // Another key, a flipped byte, another job's file under this name: set aside, and the queue goes on.
    fs::write(&a, fs::read(&b).unwrap()).unwrap();
    let claim = spool.claim("w").unwrap().unwrap();
    assert_eq!(claim.id, ids[1]);
    assert!(spool.claim("w").unwrap().is_none());
    assert!(matches!(spool.state(ids[0]).unwrap(), SpoolState::Poisoned(_)));
    spool.finish(&claim, &answer(&claim.job)).unwrap();
    let result = spool.at("results", ids[1]);
    let mut bytes = fs::read(&result).unwrap();
    for position in [0, 9, 40, bytes.len() - 1] {
        bytes[position] ^= 1;
        fs::write(&result, &bytes).unwrap();
        assert!(matches!(spool.result(ids[1]), Err(SpoolError::Sealed { .. })), "byte {position}");
        bytes[position] ^= 1;
    }
    let thief = Spool::open(dir.path(), SpoolKey::new([4; 32]), SpoolConfig::default()).unwrap();
    fs::write(&result, &bytes).unwrap();
    assert!(matches!(thief.result(ids[1]), Err(SpoolError::Sealed { .. })));
    assert!(spool.result(ids[1]).unwrap().is_some());
}

#[test]
fn files_half_written_or_foreign_are_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), LONG);
    for name in ["README", "x.1", "0123.1.w", ".hidden"] {
        fs::write(spool.at("jobs", name), b"?").unwrap();
        fs::write(spool.at("claimed", name), b"?").unwrap();
    }
    fs::write(spool.at("tmp", "half"), b"GVSPOOL1").unwrap();
    assert!(spool.claim("w").unwrap().is_none());
    assert_eq!(spool.redeliver("w").unwrap(), 0);
}

#[cfg(unix)]
#[test]
fn a_key_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = SpoolKey::open_or_create(&path).unwrap();
    assert_eq!(SpoolKey::open_or_create(&path).unwrap().as_bytes(), key.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SpoolKey::open(&path), Err(SpoolError::Key { .. })));
    fs::write(&path, "short").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(SpoolKey::open_or_create(&path), Err(SpoolError::Key { .. })));
    assert!(!format!("{key:?}").contains(&hex::encode(key.as_bytes())));
}

#[test]
fn the_oldest_batch_comes_first_also_when_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), Duration::from_millis(50));
    for batch in [3, 1, 2, 10] {
        spool.submit(&job(batch)).unwrap();
    }
    let first = spool.claim("dead").unwrap().unwrap();
    assert_eq!(first.job.batch, 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(spool.redeliver("b").unwrap(), 1);
    let next: Vec<_> =
        (0..4).map(|_| spool.claim("b").unwrap().unwrap()).map(|claim| (claim.job.batch, claim.attempt)).collect();
    assert_eq!(next, [(1, 2), (2, 1), (3, 1), (10, 1)], "and by number, not by name");
}

#[test]
fn a_claim_has_the_lease_of_who_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let (patient, hasty) = (spool(dir.path(), LONG), spool(dir.path(), Duration::ZERO));
    let id = patient.submit(&job(1)).unwrap();
    let claim = patient.claim("a").unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(hasty.redeliver("b").unwrap(), 0, "another's lease is not its own");
    // As releases before this one named it.
    fs::rename(&claim.file, spool(dir.path(), LONG).at("claimed", format!("{id}.1.a"))).unwrap();
    assert_eq!(hasty.redeliver("b").unwrap(), 0);
}

#[test]
fn heartbeats_go_by_the_clock_of_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), Duration::from_secs(5));
    spool.submit(&job(1)).unwrap();
    let claim = spool.claim("a").unwrap().unwrap();
    let clock = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
    // A beat is the file system's time: what a file that it makes itself has.
    for _ in 0..3 {
        let before = dir.path().join("before");
        fs::write(&before, "").unwrap();
        assert!(claim.beat());
        let after = dir.path().join("after");
        fs::write(&after, "").unwrap();
        assert!((clock(&before)..=clock(&after)).contains(&clock(&claim.file)));
    }
    assert_eq!(fs::read_dir(spool.root.join("tmp")).unwrap().count(), 0);
    assert_eq!(spool.redeliver("b").unwrap(), 0);
    assert_eq!(fs::read_dir(spool.root.join("tmp")).unwrap().count(), 0, "a look leaves nothing behind");
}

#[test]
fn the_first_result_counts_and_a_late_one_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), Duration::ZERO);
    let id = spool.submit(&job(1)).unwrap();
    let slow = spool.claim("slow").unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(spool.redeliver("b").unwrap(), 1);
    let fast = spool.claim("fast").unwrap().unwrap();
    spool.finish(&fast, &answer(&fast.job)).unwrap();
    let second = ProofResult { proof: vec![1], ..answer(&slow.job) };
    spool.finish(&slow, &second).unwrap();
    assert_eq!(spool.result(id).unwrap(), Some(answer(&job(1))));
    spool.forget(id).unwrap();
    spool.finish(&slow, &second).unwrap();
    assert_eq!(spool.state(id).unwrap(), SpoolState::Unknown, "nobody asks for it any more");
}

#[test]
fn provers_are_counted_while_they_are_heard_of() {
    let dir = tempfile::tempdir().unwrap();
    let (patient, hasty) = (spool(dir.path(), LONG), spool(dir.path(), Duration::from_millis(50)));
    assert_eq!(patient.provers().unwrap(), 0);
    patient.serving("a").unwrap();
    hasty.serving("b").unwrap();
    assert!((1..=2).contains(&patient.provers().unwrap()));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(patient.provers().unwrap(), 1, "one went silent for longer than its lease");
    hasty.serving("b").unwrap();
    patient.leave("a").unwrap();
    patient.leave("a").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(patient.provers().unwrap(), 0);
}
