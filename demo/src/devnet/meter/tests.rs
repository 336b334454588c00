//! The simulated meter, read by the reader of real ones with a clock as fast as its own.

use std::{
    os::fd::AsRawFd as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use gridveil_meter_client::live::{Address, Clock, Folder, Options, Said, SerialFormat, State, WatchError, watch};
use gridveil_readings::{
    Choice,
    live::{Found, Now, Stream, Terms},
    read_file,
};
use serial2::SerialPort;

use super::*;

/// A minute passes in six tenths of a second.
const FAST: u64 = 100;
const MINUTES: Terms = Terms { length: 60, modulus: None };
/// A Wh a second.
const WATTS: u64 = 3_600;

fn meter() -> Meter {
    Meter { began: Instant::now(), unix: 1_800_000_000, watts: WATTS, speed: FAST }
}

fn args(protocol: Speech, bad_every: Option<u64>, cut_after: Option<u64>) -> MeterArgs {
    let listen = "127.0.0.1:0".to_owned();
    MeterArgs { listen, protocol, watts: WATTS, every_ms: 15, speed: FAST, bad_every, cut_after }
}

/// The computer's, as fast as the meter's.
struct FastClock(Meter);

impl Clock for FastClock {
    fn now(&self) -> Result<Now, WatchError> {
        let passed = i64::try_from(self.0.shown().unwrap().seconds).unwrap();
        Ok(Now { unix: self.0.unix + passed, up: 5_000 + passed, boot: "of the test".into() })
    }
}

/// Reads until it has kept so many intervals.
fn read(meter: Meter, address: Address, speech: Speech, folder: &Path, intervals: usize) -> State {
    let serial = SerialFormat::usual(speech);
    let options = Options { address, speech, serial, terms: MINUTES, silence: Duration::from_secs(20) };
    let folder = Folder::open(folder, MINUTES).unwrap();
    let (stop, kept) = (Arc::new(AtomicBool::new(false)), Mutex::new(0));
    let flag = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(30));
        flag.store(true, Ordering::Relaxed);
    });
    watch(&options, folder, &FastClock(meter), &stop, &mut |said| {
        if matches!(said, Said::Interval { .. }) {
            *kept.lock().unwrap() += 1;
            stop.store(*kept.lock().unwrap() >= intervals, Ordering::Relaxed);
        }
    })
    .unwrap()
}

/// Every interval is a minute at a Wh a second; of that, no more than two telegrams at each end are another's.
fn checked(folder: &Path, at_least: usize) {
    let import = read_file(folder, &Choice::default()).unwrap();
    let entries = import.series.entries();
    assert!(entries.len() >= at_least, "{} intervals: {:?}", entries.len(), import.findings);
    for entry in entries {
        assert!((50..=70).contains(&entry.import_wh) && entry.export_wh == 0, "{} Wh", entry.import_wh);
    }
}

#[test]
fn both_protocols_show_the_same_registers() {
    let meter = meter();
    for speech in [Speech::P1, Speech::Sml] {
        let before = meter.shown().unwrap();
        let mut stream = Stream::new(speech);
        let found = stream.push(&meter.telegram(speech).unwrap());
        let after = meter.shown().unwrap();
        let [Found::Reading(reading)] = &found[..] else { panic!("{speech:?}: {found:?}") };
        let [Some(import), Some(export)] = reading.registers else { panic!("{speech:?}: {reading:?}") };
        let wh = u64::try_from(import.floor_wh()).unwrap();
        assert!((before.import_wh..=after.import_wh).contains(&wh) && export.floor_wh() == 0, "{speech:?}: {wh}");
        assert!(reading.checked && !reading.meter.is_empty(), "{speech:?}: {reading:?}");
        // The one says what time it is, the other how long it has run.
        assert_eq!((reading.time.is_some(), reading.seconds.is_some()), (speech == Speech::P1, speech == Speech::Sml));
    }
}

#[test]
fn a_meter_over_tcp_that_is_cut_and_changed_is_read_in_both_protocols() {
    for speech in [Speech::P1, Speech::Sml] {
        let dir = tempfile::tempdir().unwrap();
        let (meter, args) = (meter(), args(speech, Some(5), Some(100)));
        let listener = TcpListener::bind(&args.listen).unwrap();
        let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || listen(&listener, meter, &args));
        let state = read(meter, address, speech, dir.path(), 8);
        for name in ["bad-checksum", "half-telegram", "cut-line"] {
            assert!(state.troubles.get(name).is_some_and(|count| *count > 0), "{speech:?}: {name}: {state:?}");
        }
        checked(dir.path(), 4);
    }
}

#[test]
fn sml_at_a_pair_of_pseudo_terminals() {
    let dir = tempfile::tempdir().unwrap();
    let (meter, args) = (meter(), args(Speech::Sml, Some(7), None));
    let (ours, theirs) = SerialPort::pair().unwrap();
    let device = std::fs::read_link(format!("/proc/self/fd/{}", theirs.as_raw_fd())).unwrap();
    std::thread::spawn(move || speak(ours, meter, &args));
    let state = read(meter, Address::Serial(device), Speech::Sml, &dir.path().join("home.meter"), 3);
    assert!(state.troubles.get("bad-checksum").is_some_and(|count| *count > 0), "{state:?}");
    checked(&dir.path().join("home.meter"), 3);
}
