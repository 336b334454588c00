use super::*;

fn records(path: &Path) -> Result<(Vec<Record>, Tip), LogError> {
    let mut all = Vec::new();
    let log = Log::open(path, |_, record| {
        all.push(record);
        Ok::<_, LogError>(())
    })?;
    Ok((all, log.tip()))
}

fn sample(path: &Path) -> Vec<u64> {
    let mut log = Log::open(path, |_, _| Ok::<_, LogError>(())).unwrap();
    let mut offsets = log.append(&[(1, vec![1; 40]), (2, vec![2; 7])]).unwrap();
    offsets.extend(log.append(&[(3, b"the last one".to_vec())]).unwrap());
    offsets
}

#[test]
fn appends_survive_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let offsets = sample(&path);
    let (all, tip) = records(&path).unwrap();
    assert_eq!(all.iter().map(|r| r.offset).collect::<Vec<_>>(), offsets);
    assert_eq!(all[2].body, b"the last one");
    let log = Log::open(&path, |_, _| Ok::<_, LogError>(())).unwrap();
    assert_eq!(log.tip(), tip);
    assert_eq!(log.reader().unwrap().read(offsets[1], 2).unwrap(), vec![2; 7]);
    // LOG.3
    assert!(matches!(Log::open(&path, |_, _| Ok::<_, LogError>(())), Err(LogError::Locked)));
}

/// LOG.2: after a failed write nothing more is written until the log is opened again.
#[test]
fn a_failed_write_stops_the_log_until_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    sample(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut log = Log::open(&path, |_, _| Ok::<_, LogError>(())).unwrap();
    // A handle that may not write, as a full or failing disk would answer; then one that may again.
    let working = std::mem::replace(&mut log.file, File::open(&path).unwrap());
    assert!(matches!(log.append(&[(3, vec![7])]), Err(LogError::Io { .. })));
    log.file = working;
    assert!(matches!(log.append(&[(3, vec![7])]), Err(LogError::Poisoned)));
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    drop(log);
    Log::open(&path, |_, _| Ok::<_, LogError>(())).unwrap().append(&[(3, vec![7])]).unwrap();
}

/// LOG.4
#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let offsets = sample(&path);
    let whole = std::fs::read(&path).unwrap();
    let last = usize::try_from(offsets[2]).unwrap();
    for cut in last..whole.len() {
        // Both ways a tail can tear: the file ends early, or it has its length but the rest was never written.
        for padded in [false, true] {
            let mut torn = whole[..cut].to_vec();
            if padded && cut < whole.len() - 32 {
                torn.resize(whole.len(), 0);
            }
            std::fs::write(&path, &torn).unwrap();
            let (all, tip) = records(&path).unwrap_or_else(|e| unreachable!("cut at {cut}, padded {padded}: {e}"));
            assert_eq!((all.len(), tip.end), (2, offsets[2]));
            let mut log = Log::open(&path, |_, _| Ok::<_, LogError>(())).unwrap();
            log.append(&[(3, b"the last one".to_vec())]).unwrap();
            drop(log);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }
}

/// LOG.4
#[test]
fn every_flipped_byte_is_an_error_that_names_the_offset() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let offsets = sample(&path);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let start = offsets.iter().rev().find(|o| **o <= at as u64).copied();
        match (records(&path), start) {
            (Err(LogError::FileHeader | LogError::Version { .. }), None) => {}
            (Err(LogError::RecordHeader { offset } | LogError::Record { offset, .. }), Some(start)) => {
                assert_eq!(offset, start)
            }
            (other, _) => unreachable!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn an_interrupted_creation_starts_again_and_a_foreign_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    for there in 0..64 {
        std::fs::write(&path, &file_header(&[7; 16], VERSION)[..there]).unwrap();
        assert_eq!(records(&path).unwrap().1.height, 0, "{there}");
    }
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(matches!(records(&path), Err(LogError::FileHeader)));
    assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
}

/// Names in the records of format 2 were others: they are refused as such, not as damage of a record.
#[test]
fn a_log_of_an_earlier_release_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let mut header = file_header(&[7; 16], VERSION);
    header[8..12].copy_from_slice(&2u32.to_be_bytes());
    let chain = *blake3::hash(&header[..32]).as_bytes();
    header[32..].copy_from_slice(&chain);
    std::fs::write(&path, header).unwrap();
    let refused = records(&path).unwrap_err();
    assert!(matches!(refused, LogError::Version { found: 2 }), "{refused}");
    assert!(refused.to_string().contains("format 2"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), header);
}

#[test]
fn bodies_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(&path_in(dir.path()), |_, _| Ok::<_, LogError>(())).unwrap();
    assert!(matches!(log.append(&[(1, Vec::new())]), Err(LogError::BodyLength { got: 0 })));
    log.append(&[(1, vec![0])]).unwrap();
}
