//! What the operator's programs read back from disk, and what the operator asks of them.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use gridveil_api::admin::{CloseRequest, TariffRequest};
use gridveil_protocol::{account::Terms, community::Community, tariff::Tariff};
use gridveil_prover::spool::SpoolKey;
use gridveil_sequencer::{
    create_master_key,
    store::{
        data_keys::{COMMUNITY_PART, DataKeyError, DataKeys, Label},
        log::{Log, LogError, Record},
        record::{Event, decode_body, encode_body},
    },
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

/// Community, and slots of it, of the data keys here.
pub const KEYS_OF: (u32, usize) = (5, 4);

/// Data keys under a directory, all wrapped by one master key, as of one log.
pub fn data_keys(directory: &Path) -> DataKeys {
    static MASTER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, master) = MASTER.get_or_init(|| {
        let directory = tempfile::tempdir().expect("the system gives a temporary directory");
        let path = directory.path().join("master");
        create_master_key(&path).expect("a temporary file can be written");
        (directory, path)
    });
    DataKeys::open(directory, master, [1; 16]).expect("data keys open in a temporary directory")
}

/// A community's file of data keys. What opens seals parts, and opens them again.
pub fn data_key_file(data: &[u8]) {
    let (community, slots) = KEYS_OF;
    let (directory, _path) = file_of(data, &format!("{community}.keys"));
    let keys = data_keys(directory.path());
    if keys.load(community, slots, &BTreeSet::new()).is_err() {
        return;
    }
    for part in (0..4).chain([COMMUNITY_PART]) {
        let label = Label { kind: 2, community, part, first_interval: gridveil_protocol::units::Interval(7) };
        match keys.seal(&label, 0, b"a part") {
            Ok(sealed) => {
                let opened = keys.open_part(&label, &sealed).expect("what was sealed opens");
                assert_eq!(opened.as_slice(), b"a part");
            }
            // Erased.
            Err(error) => assert!(matches!(error, DataKeyError::NoKey { .. } | DataKeyError::Erased { .. }), "{error}"),
        }
    }
}

/// Files of one secret: the spool's or queue's key in hex digits, the master key in bytes. No error repeats them.
pub fn secret_file(data: &[u8]) {
    let directory = tempfile::tempdir().expect("the system gives a temporary directory");
    let path = directory.path().join("secret");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(data)).expect("a temporary file can be written");
    let key = SpoolKey::open(&path);
    let digits = std::str::from_utf8(data).is_ok_and(|text| text.trim().len() == 64);
    assert!(key.is_err() || digits, "a key that is not 64 digits");
    let keys = DataKeys::open(directory.path(), &path, [1; 16]);
    assert_eq!(keys.is_ok(), data.len() == 32, "a master key has 32 bytes, and any 32 bytes are one");
    let said = [key.err().map(|error| error.to_string()), keys.err().map(|error| error.to_string())];
    let text = String::from_utf8_lossy(data);
    assert!(text.len() < 32 || said.iter().flatten().all(|said| !said.contains(&*text)), "a secret in an error");
    let _ = fs::remove_file(path);
}

/// What the operator writes to begin a community, to change terms, to publish a tariff.
pub fn community_file(data: &[u8]) {
    let _ = (json::<Community>(data), json::<Terms>(data));
    if let Some(tariff) = json::<Tariff>(data) {
        let _ = tariff.commitment();
    }
}

/// What the operator asks over HTTP.
pub fn admin_request(data: &[u8]) {
    let _ = json::<CloseRequest>(data);
    if let Some(request) = json::<TariffRequest>(data) {
        let _ = request.tariff.commitment();
    }
}
