//! A meter that is replaced while it is read: booked once with the readings of both, or a gap.

use std::path::Path;

use clap::Parser;
use gridveil_meter_client::{
    cli::{Args, MeterError, run},
    live::{Folder, FolderError, WatchError},
};
use gridveil_readings::{
    Choice,
    energy::Energy,
    live::{Border, SwapError, Terms},
    read_file,
};

const TERMS: Terms = Terms { length: 900, modulus: None };
/// A day's ninth hour.
const NINE: i64 = 1_796_029_200;

/// Of a quarter after nine.
fn border(quarter: i64, meter: &str, wh: i64) -> Border {
    let start = NINE + quarter * 900;
    let registers = [Some(Energy::wh(wh)), None];
    Border { start, read: start + 2, meter: meter.into(), registers, seconds: None, computer: None, drifted: false }
}

/// Two quarters of the old meter, then the new one from `first` on.
fn folder(path: &Path, first: i64) {
    let mut folder = Folder::open(path, TERMS).unwrap();
    for (quarter, wh) in [(0, 70_000), (1, 70_100)] {
        folder.keep(&border(quarter, "old", wh)).unwrap();
    }
    assert_eq!(folder.keep(&border(first, "new", 150)).unwrap(), None, "a gap, until somebody says more");
    assert!(folder.keep(&border(first + 1, "new", 400)).unwrap().is_some());
}

fn swap(path: &Path, more: &[&str]) -> Result<(), MeterError> {
    run(Args::try_parse_from([&["meter", "swap", path.to_str().unwrap()], more].concat()).unwrap())
}

fn refused(path: &Path, more: &[&str]) -> FolderError {
    match swap(path, more) {
        Err(MeterError::Watch(WatchError::Folder(error))) => error,
        other => panic!("{other:?}"),
    }
}

fn wh(path: &Path) -> Vec<(i64, u64)> {
    let import = read_file(path, &Choice::default()).unwrap();
    import.series.entries().iter().map(|entry| ((entry.start - NINE) / 900, entry.import_wh)).collect()
}

#[test]
fn a_swap_is_booked_once_with_the_readings_of_both_meters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("home.meter");
    folder(&path, 2);
    assert_eq!(wh(&path), [(0, 100), (2, 250)], "a gap as ever");
    let readings = ["--closing", "70.140kWh", "--opening", "0.100"];
    // The old meter showed more than that; the new one less; another one is there.
    for (changed, error) in [
        (["--closing", "70.099", "--opening", "0.1"], SwapError::Closing("import")),
        (["--closing", "70.140", "--opening", "0.151"], SwapError::Opening("import")),
        (["--closing", "701.4", "--opening", "0.1"], SwapError::Implausible("import")),
    ] {
        assert!(matches!(refused(&path, &changed), FolderError::Swap(found) if found == error), "{changed:?}");
    }
    let other = [&readings[..], &["--meter", "third"]].concat();
    assert!(matches!(refused(&path, &other), FolderError::Swap(SwapError::Other { .. })));
    assert_eq!(wh(&path), [(0, 100), (2, 250)], "nothing of it was booked");

    // It is read: for the moment of the swap it must not be.
    let held = Folder::open(&path, TERMS).unwrap();
    assert!(matches!(refused(&path, &readings), FolderError::Busy { .. }));
    drop(held);
    swap(&path, &[&readings[..], &["--meter", "new"]].concat()).unwrap();
    // 40 Wh of the old one, 50 of the new one.
    let booked = vec![(0, 100), (1, 90), (2, 250)];
    assert_eq!(wh(&path), booked);
    assert!(matches!(refused(&path, &readings), FolderError::Swapped { .. }));
    assert!(matches!(refused(&path, &["--closing", "70.2", "--opening", "0.1"]), FolderError::Swapped { .. }));
    // The reader goes on, and makes the day's file anew.
    std::fs::remove_file(
        std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).find(|path| is_day(path)).unwrap(),
    )
    .unwrap();
    let mut again = Folder::open(&path, TERMS).unwrap();
    again.keep(&border(4, "new", 500)).unwrap();
    drop(again);
    assert_eq!(wh(&path), [booked, vec![(3, 100)]].concat());
}

fn is_day(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "csv")
}

/// The day's file is written weeks later, and a crash before it was loses nothing.
#[test]
fn a_swap_is_said_weeks_later_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 2);
    let later = 20 * 96;
    let mut open = Folder::open(dir.path(), TERMS).unwrap();
    open.keep(&border(later, "new", 90_000)).unwrap();
    open.keep(&border(later + 1, "new", 90_010)).unwrap();
    drop(open);
    let readings = ["--closing", "70.14", "--opening", "0.1"];
    let day = dir.path().join(format!("{}.csv", &gridveil_meter_client::cli::utc(NINE)[..10]));
    let before = std::fs::read(&day).unwrap();
    swap(dir.path(), &readings).unwrap();
    assert_eq!(wh(dir.path()), [(0, 100), (1, 90), (2, 250), (later, 10)]);
    // Killed between what was said and the day's file: saying it again makes the file.
    std::fs::write(&day, before).unwrap();
    assert_eq!(wh(dir.path()).len(), 3);
    assert!(matches!(refused(dir.path(), &readings), FolderError::Swapped { .. }));
    assert_eq!(wh(dir.path()).len(), 4);
    // Killed in the middle of the line: nothing was said.
    let swaps = dir.path().join("swaps.jsonl");
    let line = std::fs::read_to_string(&swaps).unwrap();
    std::fs::write(&swaps, &line[..30]).unwrap();
    swap(dir.path(), &readings).unwrap();
    assert_eq!(std::fs::read_to_string(&swaps).unwrap(), line);
    // Changed by somebody.
    std::fs::write(&swaps, line.replace("70140", "x")).unwrap();
    assert!(matches!(refused(dir.path(), &readings), FolderError::Damaged { line: 1, .. }));
}

#[test]
fn what_no_swap_fits_stays_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("home.meter");
    let readings = ["--closing", "70.14", "--opening", "0.1"];
    assert!(matches!(refused(&path, &readings), FolderError::Io { .. }));
    assert!(!path.exists(), "a folder that is not there is not made");
    let mut open = Folder::open(&path, TERMS).unwrap();
    open.keep(&border(0, "old", 70_000)).unwrap();
    open.keep(&border(1, "old", 70_100)).unwrap();
    drop(open);
    assert!(matches!(refused(&path, &readings), FolderError::NoSwap { .. }));
    // An hour without a meter: what both counted is one sum of several intervals.
    let path = dir.path().join("other.meter");
    folder(&path, 5);
    assert!(matches!(refused(&path, &readings), FolderError::Swap(SwapError::Gap { .. })));
    let export = ["--closing-export", "1", "--opening-export", "0"];
    let path = dir.path().join("third.meter");
    folder(&path, 2);
    let error = refused(&path, &[&readings[..], &export].concat());
    assert!(matches!(error, FolderError::Swap(SwapError::Registers("export"))), "{error}");
    assert_eq!(wh(&path), [(0, 100), (2, 250)]);
}

/// `meter watch` knows where a register rolls over. A swap that is said later keeps what it booked by that.
#[test]
fn a_swap_makes_the_same_intervals_as_the_watch() {
    let dir = tempfile::tempdir().unwrap();
    let rolls = Terms { modulus: Some(Energy::wh(100_000)), ..TERMS };
    let mut folder = Folder::open(dir.path(), rolls).unwrap();
    for (quarter, wh) in [(0, 99_900), (1, 50)] {
        folder.keep(&border(quarter, "old", wh)).unwrap();
    }
    for (quarter, wh) in [(2, 150), (3, 400)] {
        folder.keep(&border(quarter, "new", wh)).unwrap();
    }
    drop(folder);
    swap(dir.path(), &["--closing", "0.080", "--opening", "0.100"]).unwrap();
    let booked: Vec<u64> = wh(dir.path()).into_iter().map(|(_, wh)| wh).collect();
    assert_eq!(booked, [150, 80, 250], "the roll-over, the swap, and what came after");
}
