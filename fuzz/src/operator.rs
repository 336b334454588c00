//! What the operator's programs read back from disk.

use std::path::Path;

use blake2::{Blake2b512, Digest};
use gridveil_protocol::settlement;
use gridveil_prover::{
    job::{JobId, ProofJob, ProofResult},
    progress::Silent,
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::ptau as ceremony,
};
use gridveil_sequencer::store::{
    log::{Log, LogError, Record},
    record::{Event, decode_body, encode_body},
};

use crate::{file_of, json};

/// A record of the log: two bytes of kind, then the body.
pub fn log_record(data: &[u8]) {
    let Some((kind, body)) = data.split_first_chunk::<2>() else { return };
    let kind = u16::from_be_bytes(*kind);
    let Ok((public, sealed)) = decode_body(kind, body) else { return };
    assert_eq!(encode_body(public, &sealed), body, "two bodies of one record");
    let Ok(event) = Event::decode(kind, public) else { return };
    assert_eq!(event.kind(), kind);
    let written = event.encode().expect("an event that was read can be written");
    assert_eq!(Event::decode(kind, &written).as_ref(), Ok(&event), "the event changed");
}

/// A log file. One that opens takes another record and then holds its old ones and the new one.
pub fn log_file(data: &[u8]) {
    let (_directory, path) = file_of(data, "sequencer.log");
    let Ok((mut log, before)) = records(&path) else { return };
    let added = (7, b"added".to_vec());
    log.append(std::slice::from_ref(&added)).expect("an open log takes a record");
    drop(log);
    let (_log, mut after) = records(&path).expect("a log that opened opens again");
    let last = after.pop().map(|record| (record.kind, record.body));
    assert!(after == before && last == Some(added), "a record changed");
}

fn records(path: &Path) -> Result<(Log, Vec<Record>), LogError> {
    let mut found = Vec::new();
    let log = Log::open::<LogError>(path, |_, record| {
        found.push(record);
        Ok(())
    })?;
    Ok((log, found))
}

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
