//! A live meter at a pseudo-terminal and at a TCP port, with a clock that runs a hundred times as fast: an interval of a
//! minute passes in less than a second.

use std::{
    io::Write as _,
    net::TcpListener,
    os::fd::AsRawFd as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridveil_meter_client::live::{Address, Clock, Folder, Options, Said, SerialFormat, State, WatchError, watch};
use gridveil_readings::{
    Choice,
    live::{Now, Speech, Terms},
    p1, read_file,
};
use serial2::SerialPort;

const MINUTES: Terms = Terms { length: 60, modulus: None };
const FAST: u32 = 100;

/// Seconds of a day that is not today, and of a machine that has run for a while.
#[derive(Clone, Copy)]
struct FastClock(Instant);

impl FastClock {
    const BEGINS: i64 = 1_800_000_000;

    fn passed(self) -> i64 {
        i64::try_from((self.0.elapsed() * FAST).as_secs()).unwrap()
    }
}

impl Clock for FastClock {
    fn now(&self) -> Result<Now, WatchError> {
        let up = 5_000 + self.passed();
        Ok(Now { unix: Self::BEGINS + self.passed(), up, boot: "of the test".into() })
    }
}

/// A thread that reads a meter.
struct Reader {
    stop: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<Said>>>,
    thread: JoinHandle<State>,
}

impl Reader {
    fn start(folder: &Path, address: Address, speech: Speech, silence: Duration, clock: FastClock) -> Self {
        let options = Options { address, speech, serial: SerialFormat::usual(speech), terms: MINUTES, silence };
        let folder = Folder::open(folder, MINUTES).unwrap();
        let (stop, said) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (flag, kept) = (stop.clone(), said.clone());
        let thread = std::thread::spawn(move || {
            watch(&options, folder, &clock, &flag, &mut |one| kept.lock().unwrap().push(one)).unwrap()
        });
        Self { stop, said, thread }
    }

    fn end(self) -> State {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }

    fn opened(&self) -> usize {
        self.said.lock().unwrap().iter().filter(|said| **said == Said::Open).count()
    }

    fn wait(&self, what: &str, look: impl Fn(&[Said]) -> bool) {
        let start = Instant::now();
        while !look(&self.said.lock().unwrap()) {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: {:?}", self.said.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A port of a pseudo-terminal under a name that stays: what is written into the first comes out of it.
fn terminal(name: &Path) -> (SerialPort, SerialPort) {
    let (ours, theirs) = SerialPort::pair().unwrap();
    let device = std::fs::read_link(format!("/proc/self/fd/{}", theirs.as_raw_fd())).unwrap();
    let _ = std::fs::remove_file(name);
    std::os::unix::fs::symlink(device, name).unwrap();
    (ours, theirs)
}

/// 3.6 kW: a Wh a second of the fast clock.
fn register(clock: FastClock) -> u32 {
    50_000 + u32::try_from(clock.passed()).unwrap()
}

fn sml(clock: FastClock) -> Vec<u8> {
    frame(1_000 + u32::try_from(clock.passed()).unwrap(), register(clock))
}

/// DSMR 2: neither clock nor checksum.
fn dsmr2(wh: u32) -> Vec<u8> {
    let kwh = format!("{:05}.{:03}", wh / 1000, wh % 1000);
    format!("/ISk5\\2MT382-1004\r\n\r\n0-0:96.1.1(00)\r\n1-0:1.8.1({kwh}*kWh)\r\n1-0:2.8.1(00000.000*kWh)\r\n!\r\n")
        .into()
}

/// Speaks for so many seconds of the fast clock, a telegram in every two or so.
fn speak(clock: FastClock, seconds: i64, mut say: impl FnMut(usize)) {
    let until = clock.passed() + seconds;
    for number in 0.. {
        if clock.passed() >= until {
            return;
        }
        say(number);
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// Every interval is a minute at a Wh a second: of that, no more than two telegrams at each end are another's.
fn checked(folder: &Path, at_least: usize) -> usize {
    let import = read_file(folder, &Choice::default()).unwrap();
    let entries = import.series.entries();
    assert!(entries.len() >= at_least, "{} intervals: {:?}", entries.len(), import.findings);
    for entry in entries {
        assert!((50..=70).contains(&entry.import_wh) && entry.start % 60 == 0, "{}", entry.import_wh);
    }
    let starts: std::collections::BTreeSet<i64> = entries.iter().map(|e| e.start).collect();
    assert_eq!(starts.len(), entries.len(), "nothing twice");
    entries.len()
}

#[test]
fn sml_at_a_serial_port_that_is_pulled_out_and_put_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, name) = (dir.path().join("meter"), dir.path().join("tty"));
    let clock = FastClock(Instant::now());
    let address = Address::Serial(name.clone());
    // There is no such port yet.
    let reader = Reader::start(&folder, address.clone(), Speech::Sml, Duration::from_secs(20), clock);
    reader.wait("it says so", |said| {
        said.iter().any(|s| matches!(s, Said::Trouble { trouble, .. } if trouble.name() == "cut-line"))
    });
    let (ours, theirs) = terminal(&name);
    reader.wait("it is opened", |said| said.contains(&Said::Open));
    drop(theirs);
    // Begins in the middle of a frame; every seventh is changed, every eleventh cut.
    ours.write_all(&sml(clock)[20..]).unwrap();
    speak(clock, 200, |number| {
        let mut frame = sml(clock);
        match (number % 7, number % 11) {
            (3, _) => frame[50] ^= 0x10,
            (_, 5) => frame.truncate(40),
            _ => {}
        }
        ours.write_all(&frame).unwrap();
    });
    drop(ours);
    let (ours, theirs) = terminal(&name);
    let opened = reader.opened();
    reader.wait("it is opened again", |said| said.iter().filter(|s| **s == Said::Open).count() > opened.min(1));
    drop(theirs);
    speak(clock, 200, |_| ours.write_all(&sml(clock)).unwrap());
    let state = reader.end();
    for name in ["cut-line", "bad-checksum", "half-telegram"] {
        assert!(state.troubles.get(name).is_some_and(|count| *count > 0), "{name}: {state:?}");
    }
    let first = checked(&folder, 4);
    // Another process goes on in the same folder, with the same meter.
    let reader = Reader::start(&folder, address, Speech::Sml, Duration::from_secs(20), clock);
    speak(clock, 140, |_| ours.write_all(&sml(clock)).unwrap());
    let state = reader.end();
    assert!(state.intervals >= 1 && checked(&folder, first + 1) as u64 == first as u64 + state.intervals, "{state:?}");
    assert_eq!(State::of(&folder), Some(state));
}

#[test]
fn dsmr_2_at_a_serial_port_with_changed_digits() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, name) = (dir.path().join("meter"), dir.path().join("tty"));
    let clock = FastClock(Instant::now());
    let (ours, _theirs) = terminal(&name);
    let reader = Reader::start(&folder, Address::Serial(name), Speech::P1, Duration::from_secs(20), clock);
    reader.wait("it is opened", |said| said.contains(&Said::Open));
    speak(clock, 260, |number| {
        // Nothing but its neighbours shows that a digit was changed.
        let wh = register(clock);
        ours.write_all(&dsmr2(if number % 4 == 1 { wh + 40_000 } else { wh })).unwrap();
    });
    let state = reader.end();
    assert!(state.troubles["unconfirmed"] > 5, "{state:?}");
    checked(&folder, 2);
}

#[test]
fn p1_over_tcp_that_is_cut_and_falls_silent() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("meter");
    let clock = FastClock(Instant::now());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let reader = Reader::start(&folder, address, Speech::P1, Duration::from_millis(700), clock);
    let (mut first, _) = listener.accept().unwrap();
    speak(clock, 100, |_| first.write_all(&dsmr5(clock)).unwrap());
    first.write_all(&dsmr5(clock)[..70]).unwrap();
    drop(first);
    // Garbage at the wrong speed, then nothing at all.
    let (mut second, _) = listener.accept().unwrap();
    second.write_all(&[0xfe, 0x80, b'!', b'\n', 0].repeat(9_000)).unwrap();
    // The other side has not gone; it is given up all the same.
    let (mut third, _) = listener.accept().unwrap();
    speak(clock, 200, |_| third.write_all(&dsmr5(clock)).unwrap());
    let state = reader.end();
    for name in ["cut-line", "half-telegram", "garbage", "silence"] {
        assert!(state.troubles.get(name).is_some_and(|count| *count > 0), "{name}: {state:?}");
    }
    assert_eq!(state.troubles.get("clock-drift"), None, "{state:?}");
    checked(&folder, 3);
}

fn dsmr5(clock: FastClock) -> Vec<u8> {
    let local =
        jiff::tz::Offset::constant(1).to_datetime(jiff::Timestamp::from_second(clock.now().unwrap().unix).unwrap());
    let wh = register(clock);
    let body = format!(
        "/ISK5\\2M550T-1012\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0({}W)\r\n0-0:96.1.1(4530)\r\n1-0:1.8.1({:06}.{:03}*kWh)\r\n!",
        local.strftime("%y%m%d%H%M%S"),
        wh / 1000,
        wh % 1000
    );
    format!("{body}{:04X}\r\n", p1::checksum(body.as_bytes())).into()
}

/// A list of register 1.8.0 as a meter sends it, framed.
fn frame(seconds: u32, wh: u32) -> Vec<u8> {
    let open = [
        0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x01, 0x01, 0x76, 0x01, 0x01, 0x02, 0x31, 0x02, 0x32, 0x01,
        0x01,
    ];
    let mut list = vec![0x76, 0x02, 0x32, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01, 0x77, 0x01, 0x03, 0x0a, 0x01, 0x01];
    list.extend([0x72, 0x62, 0x01, 0x65]);
    list.extend(seconds.to_be_bytes());
    list.extend([0x71, 0x77, 0x07, 1, 0, 1, 8, 0, 255, 0x01, 0x01, 0x62, 30, 0x52, 0, 0x65]);
    list.extend(wh.to_be_bytes());
    list.extend([0x01, 0x01, 0x01]);
    let close = vec![0x76, 0x02, 0x33, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x02, 0x01, 0x71, 0x01];
    let mut file = Vec::new();
    for message in [open.to_vec(), list, close] {
        let [high, low] = x25(&message).to_le_bytes();
        file.extend(message);
        file.extend([0x63, high, low, 0x00]);
    }
    let padding = u8::try_from((4 - file.len() % 4) % 4).unwrap();
    file.extend(vec![0; usize::from(padding)]);
    let mut framed =
        [vec![0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1], file, vec![0x1b, 0x1b, 0x1b, 0x1b, 0x1a, padding]].concat();
    framed.extend(x25(&framed).to_le_bytes());
    framed
}

/// CRC-16/X.25.
fn x25(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xffff_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 })
    })
}
