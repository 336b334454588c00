//! What provers and their queues hand to each other.

use std::io::Read as _;

use blake2::{Blake2b512, Digest};
use gridveil_protocol::settlement;
use gridveil_prover::{
    job::{JobId, ProofJob, ProofResult},
    progress::Silent,
    queue::{Envelopes, Queue, QueueUrl},
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::ptau as ceremony,
    store,
};

use crate::{file_of, json};

/// A proof job. What it asks for is settled or refused by the rules.
pub fn proof_job(data: &[u8]) {
    let Ok(job) = ProofJob::from_json(data) else { return };
    let written = job.to_json().expect("a job that was read can be written");
    let again = ProofJob::from_json(&written).expect("a job that was written can be read");
    assert!(again == job && again.id() == job.id(), "the job changed");
    let _ = settlement::apply(job.input);
}

/// Key of the spool of the seeds.
pub const SPOOL_KEY: [u8; 32] = [3; 32];

/// A file of the spool: 32 bytes of job id, then the sealed file, found among the results and among the jobs. The same
/// bytes are also read as the JSON of a result.
pub fn spool_result(data: &[u8]) {
    let _ = json::<ProofResult>(data);
    let Some((id, sealed)) = data.split_first_chunk::<32>() else { return };
    let id = JobId::from(*id);
    assert_eq!(JobId::parse(&id.to_string()), Some(id));
    let directory = tempfile::tempdir().expect("the system gives a temporary directory");
    let spool = Spool::open(directory.path(), SpoolKey::new(SPOOL_KEY), SpoolConfig::default());
    let spool = spool.expect("a spool opens in an empty directory");
    let put =
        |name: String| std::fs::write(directory.path().join(name), sealed).expect("a temporary file can be written");
    put(format!("jobs/{id}.1"));
    let claim = spool.claim("fuzz").expect("a job that cannot be read is set aside");
    assert!(claim.is_none_or(|claim| claim.id == id), "another job than its name says");
    put(format!("results/{id}"));
    if let Ok(result) = spool.result(id) {
        assert!(result.is_some_and(|result| result.job == id), "another result than its name says");
    }
}

/// A powers-of-tau file that somebody has pinned, whatever it holds.
pub fn ptau(data: &[u8]) {
    let (_directory, path) = file_of(data, "test.ptau");
    let _ = ceremony::published_for(&path);
    for k in [1, 2] {
        let _ = ceremony::load(&path, &Blake2b512::digest(data).into(), k, &Silent);
    }
}

/// Shape of the jobs that are sealed for a queue here.
pub const QUEUED_SHAPE: &str = "tiny-4x2";

/// What a row of the queue holds: 32 bytes of job id, then the sealed value, read as each of the three.
pub fn queue_envelope(data: &[u8]) {
    let Some((id, sealed)) = data.split_first_chunk::<32>() else { return };
    let (id, envelopes) = (JobId::from(*id), Envelopes::new(SpoolKey::new(SPOOL_KEY)));
    let kinds = [
        envelopes.open_job(id, QUEUED_SHAPE, sealed).is_ok_and(|job| {
            assert!(job.shape == QUEUED_SHAPE && job.id() == Ok(id), "another job than its row says");
            true
        }),
        envelopes.open_result(id, QUEUED_SHAPE, sealed).is_ok_and(|result| {
            assert_eq!(result.job, id, "another result than its row says");
            true
        }),
        envelopes.open_error(id, QUEUED_SHAPE, sealed).is_ok(),
    ];
    assert!(kinds.iter().filter(|opened| **opened).count() <= 1, "one value, two meanings");
    assert!(envelopes.open_job(id, "home-32x24", sealed).is_err(), "a job of another shape");
}

/// Password in the addresses of the seeds.
pub const QUEUE_PASSWORD: &str = "hunter2-of-the-queue";

/// The address of a queue. It may hold a password: no error repeats a part of it.
pub fn queue_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(url) = text.parse::<QueueUrl>();
    assert_eq!(format!("{url:?}"), "QueueUrl(hidden)");
    if let Err(error) = Queue::new(&url, SpoolKey::new(SPOOL_KEY)) {
        assert!(!format!("{error} {error:?}").contains(QUEUE_PASSWORD), "an address in an error");
    }
}

/// Label of the cache files here.
pub const CACHE_LABEL: &str = "fuzz";

/// A file of the cache of parameters and keys. One that opens is what was written, to its last byte.
pub fn cache_file(data: &[u8]) {
    let (directory, path) = file_of(data, "cached");
    let Ok(Some(mut reader)) = store::open(&path, CACHE_LABEL) else { return };
    let mut body = Vec::new();
    reader.read_to_end(&mut body).expect("a file that was checked is read");
    let again = directory.path().join("again");
    store::write(&again, CACHE_LABEL, |writer| writer.write_all(&body)).expect("a temporary file can be written");
    assert_eq!(std::fs::read(again).ok().as_deref(), Some(data), "two files of one body");
}
