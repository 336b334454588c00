//! `gridveil meter watch` as a process, at a meter that speaks fast: what it keeps when its line is cut, and when it is
//! killed and started again.

use std::{path::Path, time::Duration};

use serde_json::Value;

use crate::common::{
    gridveil,
    process::{Process, SOON},
};

/// A meter whose day passes in a minute and a half: a quarter of an hour a second. Returns its process and address.
fn meter(more: &[&str]) -> (Process, String) {
    let words = [&["devnet", "meter", "--listen", "127.0.0.1:0", "--speed", "900", "--every-ms", "9"], more].concat();
    let mut process = Process::start(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let address = process.wait("the meter's address", SOON, |said| {
        let rest = said.lines().find_map(|line| line.strip_prefix("a meter at "))?;
        Some(rest.split(',').next()?.to_owned())
    });
    (process, address)
}

fn watch(address: &str, folder: &Path) -> Process {
    let words = ["meter", "watch", address, "--format", "p1", "--into", folder.to_str().unwrap(), "--silence", "5"];
    Process::start(&words.map(str::to_owned))
}

/// Waits until so many intervals are said to be kept.
fn kept(process: &mut Process, count: usize) {
    process.wait("intervals", Duration::from_secs(60), |said| {
        (said.lines().filter(|line| line.starts_with("interval kept")).count() >= count).then_some(())
    });
}

fn read(folder: &Path) -> Value {
    let output = gridveil().args(["meter", "read", folder.to_str().unwrap(), "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_reader_that_is_killed_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("home.meter");
    // Cut in the middle of a telegram every second or so; one in five is changed.
    let (_meter, address) = meter(&["--watts", "480", "--bad-every", "5", "--cut-after", "150"]);
    let mut first = watch(&address, &folder);
    kept(&mut first, 3);
    first.kill();
    let before = read(&folder);
    // A border or two of the meter's pass.
    std::thread::sleep(Duration::from_millis(2_300));
    let mut second = watch(&address, &folder);
    kept(&mut second, 3);
    second.stop();
    let after = read(&folder);
    // 480 W for a quarter of an hour are 120 Wh. A telegram ten seconds after a border has used one Wh of the next.
    let (intervals, wh) = (after["intervals"].as_u64().unwrap(), after["import_wh"].as_u64().unwrap());
    assert!(intervals >= 6 && intervals > before["intervals"].as_u64().unwrap(), "{after}");
    assert!(wh.abs_diff(intervals * 120) <= 2 * intervals, "{after}");
    assert!(after["missing_intervals"].as_u64().unwrap() >= 1, "what nobody read is missing: {after}");
    // The meter's clock runs away from the computer's, and that is in the files.
    assert!(after["findings"].as_array().unwrap().iter().any(|f| f["rule"] == "clock-drift"), "{after}");
    let state: Value = serde_json::from_slice(&std::fs::read(folder.join("watch.json")).unwrap()).unwrap();
    assert!(state["running"] == false && state["troubles"]["bad-checksum"].as_u64().unwrap() > 0, "{state}");
    assert!(state["troubles"]["half-telegram"].as_u64().unwrap() > 0, "{state}");
}

#[test]
fn one_process_reads_into_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_meter, address) = meter(&[]);
    let mut first = watch(&address, dir.path());
    first.wait("it is open", SOON, |said| said.contains("the line is open").then_some(()));
    let again = ["meter", "watch", &address, "--format", "p1", "--into", dir.path().to_str().unwrap()];
    let output = gridveil().args(again).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("another process") && error.lines().count() == 1, "{error}");
    let wrong = gridveil().args(["meter", "watch", "ttyUSB0", "--format", "p1", "--into", "x"]).output().unwrap();
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("tcp://HOST:PORT"));
    first.stop();
}
