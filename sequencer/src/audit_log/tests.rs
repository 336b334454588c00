//! The audit log as its file: durable, chained, sealed, and what becomes of one that was changed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use super::{
    format::{FormatError, HEADER_BYTES, heads},
    *,
};
use crate::staff::Role;

fn act(slot: u16) -> Act {
    Act { endpoint: "POST /admin/v1/x".to_owned(), community: Some(5), slot: Some(slot), ..Act::default() }
}

fn begun(number: u16) -> Entry {
    Entry::begun(1_700_000_000 + u64::from(number), Role::Operator, "break-glass".to_owned(), act(number))
}

fn master() -> SealingKey {
    SealingKey::new([9; 32])
}

fn open(path: &Path) -> Result<AuditLog, AuditLogError> {
    AuditLog::open(path, &master(), 1_800_000_000)
}

/// A log with acts that have their outcomes.
fn filled(path: &Path, acts: u16) -> Vec<Head> {
    let log = open(path).unwrap();
    let mut all = vec![log.head()];
    for number in 0..acts {
        let of = log.append(&begun(number)).unwrap();
        all.push(log.head());
        log.append(&Entry::outcome(1_700_000_100, of, Outcome::Done, None)).unwrap();
        all.push(log.head());
    }
    all
}

fn entries(path: &Path) -> Vec<Entry> {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let sealing = Sealing::of(&master(), &format::header_of(&file, size).unwrap().unwrap().id);
    let mut all = Vec::new();
    format::scan(&file, |number, body| {
        all.push(sealing.open(number, body).unwrap());
        Ok::<_, FormatError>(())
    })
    .unwrap();
    all
}

/// Where the chain breaks.
fn broken(path: &Path) -> Option<(u64, u64)> {
    match heads(&File::open(path).unwrap(), |_, _| Ok::<_, FormatError>(())) {
        Ok(_) => None,
        Err(FormatError::Entry { number, offset }) => Some((number, offset)),
        Err(other) => panic!("{other}"),
    }
}

fn at(number: usize) -> usize {
    HEADER_BYTES + number * ENTRY_BYTES
}

#[test]
fn what_was_written_is_read_again_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let all = filled(&path, 3);
    assert_eq!(open(&path).unwrap().head(), all[6]);
    assert_eq!(entries(&path)[4], begun(2));
    let log = open(&path).unwrap();
    assert!(matches!(open(&path), Err(AuditLogError::Locked)));
    assert_eq!(log.append(&begun(3)).unwrap(), 6);
    let piece = log.piece(0).unwrap();
    assert_eq!(piece, std::fs::read(&path).unwrap());
    assert_eq!(log.piece(piece.len() as u64).unwrap(), b"");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_entry_that_is_changed_removed_or_moved_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    filled(&path, 3);
    let good = std::fs::read(&path).unwrap();
    let (first, second, third) = (at(1)..at(2), at(2)..at(3), at(3)..at(4));
    let mut cases: Vec<(Vec<u8>, usize)> = Vec::new();
    for byte in [at(2), at(2) + 9, at(3) - 1] {
        let mut changed = good.clone();
        changed[byte] ^= 1;
        cases.push((changed, 2));
    }
    cases.push(([&good[..second.start], &good[second.end..]].concat(), 2));
    cases.push(([&good[..first.start], &good[second.clone()], &good[first], &good[third.start..]].concat(), 1));
    cases.push(([&good[..third.start], &good[second], &good[third.start..]].concat(), 3));
    for (bytes, number) in cases {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(broken(&path), Some((number as u64, at(number) as u64)));
        // It is not opened, and left as it is.
        assert!(matches!(open(&path), Err(AuditLogError::Format(FormatError::Entry { .. }))));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    let mut other = good.clone();
    other[20] ^= 1;
    std::fs::write(&path, other).unwrap();
    assert!(matches!(open(&path), Err(AuditLogError::Format(FormatError::Header))));
}

#[test]
fn the_chain_is_checked_without_a_key_and_entries_open_with_theirs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let all = filled(&path, 2);
    let mut seen = Vec::new();
    let file = File::open(&path).unwrap();
    let end = heads(&file, |head, _| {
        seen.push(*head);
        Ok::<_, FormatError>(())
    });
    assert_eq!(seen, all[1..]);
    assert_eq!(end.unwrap(), all[4]);
    assert!(matches!(AuditLog::open(&path, &SealingKey::new([8; 32]), 0), Err(AuditLogError::Sealed(0))));
    // A thief of the disk finds no word of it, and entries of one length.
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    assert!(!text.contains("admin") && !text.contains("break") && !text.contains("operator"));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), at(4) as u64);
}

#[test]
fn a_last_entry_that_was_not_written_to_its_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let all = filled(&path, 2);
    let good = std::fs::read(&path).unwrap();
    for cut in [at(3) + 1, at(3) + 8, at(4) - 1, at(3) + 700] {
        std::fs::write(&path, &good[..cut]).unwrap();
        assert_eq!(broken(&path), None, "{cut}");
        // The act of entry 2 has no outcome: it gets one.
        let log = open(&path).unwrap();
        assert_eq!(log.head().count, 4, "{cut}");
        drop(log);
        assert_eq!(entries(&path)[3], Entry::outcome(1_800_000_000, 2, Outcome::Interrupted, None));
    }
    // The file was made longer, and nothing came.
    std::fs::write(&path, [&good[..], &[0; ENTRY_BYTES]].concat()).unwrap();
    assert_eq!(open(&path).unwrap().head(), all[4]);
    // What was begun of a file that never was.
    for start in [&b""[..], &MAGIC_START, &[0; HEADER_BYTES]] {
        std::fs::write(&path, start).unwrap();
        assert_eq!(open(&path).unwrap().head().count, 0);
    }
}

const MAGIC_START: [u8; 4] = *b"GRID";

#[test]
fn a_file_of_another_release_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    filled(&path, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[11] = 2;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(&path), Err(AuditLogError::Format(FormatError::Version { found: 2 }))));
}

#[test]
fn an_entry_that_cannot_be_written_is_told_and_nothing_is_taken_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let log = open(&path).unwrap();
    let long = Act { endpoint: "x".repeat(2000), ..Act::default() };
    let entry = Entry::begun(1, Role::Operator, String::new(), long);
    assert!(matches!(log.append(&entry), Err(AuditLogError::Seal)));
    log.append(&begun(0)).unwrap();
    // The file is closed for writing, as on a disk that fails.
    log.lock().file = File::open(&path).unwrap();
    assert!(matches!(log.append(&begun(1)), Err(AuditLogError::Io { .. })));
    assert!(matches!(log.append(&begun(1)), Err(AuditLogError::Poisoned)));
    assert_eq!(log.head().count, 1);
    log.lock().poisoned = false;
    log.lock().head.count = (MOST_BYTES - HEADER_BYTES as u64) / ENTRY_BYTES as u64;
    assert!(matches!(log.append(&begun(1)), Err(AuditLogError::Full)));
}
