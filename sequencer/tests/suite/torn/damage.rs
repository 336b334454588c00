//! Kinds of damage, and what each must come to.

use std::{fs, path::PathBuf};

use super::Original;
use gridveil_protocol::fixture::Stream;

/// What becomes of it.
#[derive(Debug)]
pub enum Outcome {
    /// It opens with everything acknowledged; with the newest packet, too, or without it.
    Opens { with_last: bool },
    /// Refused, with the offset of the record that has this byte.
    Refused { at: u64 },
    /// Refused: the index has seen more records than the log has.
    Lost { has: u64 },
    /// Refused for its keys.
    Keys,
    /// It opens with everything, for the index is made again, or refuses with the index's own error.
    Index,
    /// There is no evidence of what is lost but L1: what is left, and no more, or a refusal.
    Prefix { has: u64 },
}

/// A damaged directory.
pub struct Damage {
    pub log: Vec<u8>,
    /// Other files, by their path in the directory.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub without_index: bool,
    pub outcome: Outcome,
    pub told: String,
}

impl Damage {
    fn of(log: Vec<u8>, outcome: Outcome, told: String) -> Self {
        Self { log, files: Vec::new(), without_index: false, outcome, told }
    }
}

type Make = fn(&Original, &mut Stream) -> Damage;

/// One after the other is tried.
pub const KINDS: [(&str, Make); 20] = [
    ("cut at any byte", cut),
    ("cut inside the last record", cut_last),
    ("cut at any byte, index gone", cut_without_index),
    ("an old copy", old_copy),
    ("a newer log beside an older index", index_behind),
    ("a packet on its way, cut", torn_tail),
    ("a packet on its way, zeros from any byte on", zero_tail),
    ("longer by zeros", longer),
    ("a bit of a record", bit),
    ("a bit of the last record", bit_of_last),
    ("a bit of the file header", bit_of_header),
    ("a sector of zeros", sector),
    ("a page of zeros", page),
    ("the last pages of zeros", last_pages),
    ("two sectors swapped", swapped_sectors),
    ("two pages swapped", swapped_pages),
    ("the end twice", end_twice),
    ("a byte of the index", index_byte),
    ("a file of the index cut", index_cut),
    ("a byte of a key file", key_byte),
];

fn below(stream: &mut Stream, bound: usize) -> usize {
    usize::try_from(stream.below(bound as u64)).unwrap()
}

/// Records that are whole in the first bytes.
fn whole(original: &Original, bytes: usize) -> u64 {
    (original.records.iter().filter(|start| **start <= bytes as u64).count() as u64).saturating_sub(1)
}

fn cut(original: &Original, stream: &mut Stream) -> Damage {
    // All of a file header: less is the beginning of a new log, of which there are tests (`restore.rs`).
    let at = 64 + below(stream, original.log.len() - 64);
    let lost = Outcome::Lost { has: whole(original, at) };
    Damage::of(original.log[..at].to_vec(), lost, format!("at {at} of {}", original.log.len()))
}

fn cut_last(original: &Original, stream: &mut Stream) -> Damage {
    let start = usize::try_from(original.records[original.records.len() - 2]).unwrap();
    let at = start + 1 + below(stream, original.log.len() - start - 1);
    let lost = Outcome::Lost { has: whole(original, at) };
    Damage::of(original.log[..at].to_vec(), lost, format!("at {at} of {}", original.log.len()))
}

fn cut_without_index(original: &Original, stream: &mut Stream) -> Damage {
    // Behind the genesis and its communities, which are written again from the genesis that is given.
    let from = usize::try_from(original.records[3]).unwrap();
    let at = from + below(stream, original.log.len() - from);
    let mut damage = Damage::of(
        original.log[..at].to_vec(),
        Outcome::Prefix { has: whole(original, at) },
        format!("at {at} of {}", original.log.len()),
    );
    damage.without_index = true;
    damage
}

fn old_copy(original: &Original, stream: &mut Stream) -> Damage {
    let has = below(stream, original.records.len() - 1);
    let at = usize::try_from(original.records[has]).unwrap();
    Damage::of(original.log[..at].to_vec(), Outcome::Lost { has: has as u64 }, format!("{has} records"))
}

fn index_behind(original: &Original, _: &mut Stream) -> Damage {
    Damage::of(original.later.clone(), Outcome::Opens { with_last: true }, String::new())
}

fn torn_tail(original: &Original, stream: &mut Stream) -> Damage {
    let at = original.log.len() + below(stream, original.later.len() - original.log.len());
    Damage::of(original.later[..at].to_vec(), Outcome::Opens { with_last: false }, format!("at {at}"))
}

/// The file has its length, and not all of its bytes: a file system may lengthen a file before it writes.
fn zero_tail(original: &Original, stream: &mut Stream) -> Damage {
    let (start, end) = (original.log.len(), original.later.len());
    let at = start + below(stream, end - start);
    let mut log = original.later.clone();
    log[at..].fill(0);
    let chain = end - 32;
    let outcome = match at {
        // What ends in zeros by itself is whole; less of a chain value than all of it is damage.
        _ if log == original.later => Outcome::Opens { with_last: true },
        at if at > chain && log[chain..].iter().any(|byte| *byte != 0) => Outcome::Refused { at: start as u64 },
        _ => Outcome::Opens { with_last: false },
    };
    Damage::of(log, outcome, format!("from {at} of {end}"))
}

fn longer(original: &Original, stream: &mut Stream) -> Damage {
    let more = 1 + below(stream, 10_000);
    let mut log = original.log.clone();
    log.resize(log.len() + more, 0);
    Damage::of(log, Outcome::Opens { with_last: false }, format!("by {more}"))
}

fn flipped(original: &Original, at: usize, bit: usize) -> Damage {
    let mut log = original.log.clone();
    log[at] ^= 1 << bit;
    Damage::of(log, Outcome::Refused { at: at as u64 }, format!("bit {bit} of byte {at}"))
}

fn bit(original: &Original, stream: &mut Stream) -> Damage {
    flipped(original, 64 + below(stream, original.log.len() - 64), below(stream, 8))
}

fn bit_of_last(original: &Original, stream: &mut Stream) -> Damage {
    let start = usize::try_from(original.records[original.records.len() - 2]).unwrap();
    flipped(original, start + below(stream, original.log.len() - start), below(stream, 8))
}

fn bit_of_header(original: &Original, stream: &mut Stream) -> Damage {
    flipped(original, below(stream, 64), below(stream, 8))
}

/// The first byte that differs decides. Where the damage reaches to the end in zeros, what is left looks like a record that
/// was not written to its end, and the index knows better.
fn changed(original: &Original, log: Vec<u8>, told: String) -> Damage {
    let first = original.log.iter().zip(&log).position(|(a, b)| a != b);
    let outcome = match first {
        None => Outcome::Opens { with_last: false },
        // No log any more, and keys and an index that had one.
        Some(_) if log[..8] == [0; 8] => Outcome::Lost { has: 0 },
        Some(at) => {
            let record = super::record_of(&original.records, at as u64);
            // From its chain value on, or behind its header: then the record was never whole.
            let index = original.records.iter().position(|start| *start == record).unwrap_or(0);
            let end = usize::try_from(original.records[(index + 1).min(original.records.len() - 1)]).unwrap();
            let start = usize::try_from(record).unwrap();
            let header = original.log[start..start + 32] != log[start..start + 32];
            let zeros_from = if header { start + 32 } else { end - 32 };
            if at >= 64 && log[zeros_from..].iter().all(|byte| *byte == 0) {
                Outcome::Lost { has: index as u64 }
            } else {
                Outcome::Refused { at: at as u64 }
            }
        }
    };
    Damage::of(log, outcome, told)
}

fn zeroed(original: &Original, stream: &mut Stream, size: usize) -> Damage {
    let block = below(stream, original.log.len().div_ceil(size));
    let mut log = original.log.clone();
    let end = ((block + 1) * size).min(log.len());
    log[block * size..end].fill(0);
    changed(original, log, format!("block {block} of {size} bytes"))
}

fn sector(original: &Original, stream: &mut Stream) -> Damage {
    zeroed(original, stream, 512)
}

fn page(original: &Original, stream: &mut Stream) -> Damage {
    zeroed(original, stream, 4096)
}

/// A power loss behind the back of `fdatasync`: a disk that lied.
fn last_pages(original: &Original, stream: &mut Stream) -> Damage {
    let pages = original.log.len().div_ceil(4096);
    let from = (pages - 1 - below(stream, (pages - 1).min(8))) * 4096;
    let mut log = original.log.clone();
    log[from.max(64)..].fill(0);
    changed(original, log, format!("from {from} of {}", original.log.len()))
}

fn swapped(original: &Original, stream: &mut Stream, size: usize) -> Damage {
    let blocks = original.log.len() / size;
    let (a, b) = (below(stream, blocks), below(stream, blocks));
    let mut log = original.log.clone();
    for byte in 0..size {
        log.swap(a * size + byte, b * size + byte);
    }
    changed(original, log, format!("blocks {a} and {b} of {size} bytes"))
}

fn swapped_sectors(original: &Original, stream: &mut Stream) -> Damage {
    swapped(original, stream, 512)
}

fn swapped_pages(original: &Original, stream: &mut Stream) -> Damage {
    swapped(original, stream, 4096)
}

fn end_twice(original: &Original, stream: &mut Stream) -> Damage {
    let records = original.records.len() - 1;
    let from = usize::try_from(original.records[records - 1 - below(stream, records.min(6))]).unwrap();
    let log = [&original.log[..], &original.log[from..]].concat();
    Damage::of(log, Outcome::Refused { at: original.log.len() as u64 }, format!("from {from}"))
}

/// A file under a folder of the directory, by its path in the directory, and its bytes.
fn file_in(original: &Original, folder: &str, stream: &mut Stream) -> (PathBuf, Vec<u8>) {
    let mut found = Vec::new();
    let mut folders = vec![original.before.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.retain(|path| fs::metadata(path).unwrap().len() > 0);
    found.sort();
    let path = &found[below(stream, found.len())];
    (path.strip_prefix(&original.before).unwrap().to_owned(), fs::read(path).unwrap())
}

fn index_byte(original: &Original, stream: &mut Stream) -> Damage {
    let (file, mut bytes) = file_in(original, "index", stream);
    // Where something is: sled's file is mostly empty.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
    let at = below(stream, used);
    bytes[at] ^= 1 << below(stream, 8);
    let mut damage =
        Damage::of(original.log.clone(), Outcome::Index, format!("byte {at} of {used} of {}", file.display()));
    damage.files.push((file, bytes));
    damage
}

fn index_cut(original: &Original, stream: &mut Stream) -> Damage {
    let (file, mut bytes) = file_in(original, "index", stream);
    let at = below(stream, bytes.len());
    bytes.truncate(at);
    let mut damage = Damage::of(original.log.clone(), Outcome::Index, format!("{} at {at}", file.display()));
    damage.files.push((file, bytes));
    damage
}

fn key_byte(original: &Original, stream: &mut Stream) -> Damage {
    let (file, mut bytes) = file_in(original, "keys", stream);
    let at = below(stream, bytes.len());
    let told = match stream.below(3) {
        0 => {
            bytes.truncate(at);
            format!("{} cut at {at}", file.display())
        }
        1 => {
            bytes[at..].fill(0);
            format!("{} zeros from {at}", file.display())
        }
        _ => {
            bytes[at] ^= 1 << below(stream, 8);
            format!("byte {at} of {}", file.display())
        }
    };
    let mut damage = Damage::of(original.log.clone(), Outcome::Keys, told);
    damage.files.push((file, bytes));
    damage
}
