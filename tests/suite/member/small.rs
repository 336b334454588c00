//! The client of a small device: size of its binary, and the memory of what it does day and night. `make bench-small`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gridveil_benches::{
    figure::{Basis, Figure},
    report::machine,
};
use gridveil_protocol::{instance::domain, params::CIRCUIT_VERSION};
use serde_json::{Value, json};

use super::*;
use crate::common::process::{Process, SOON};

/// Of a process, MB of 10^6 bytes.
const MOST_RESIDENT: f64 = 64.0;
/// What opens a key file that is not made for a small device takes more: shown, not promised.
const USUAL_KEYS: &str = "meter keygen, 64 MiB as usual: not for a small device";
/// Of the file.
const MOST_BYTES: u64 = 8_000_000;
/// 30 November 2026, 00:00 UTC, and how many days are before it.
const TODAY: i64 = 1_796_000_400 / 86_400 * 86_400;
const DAYS: i64 = 400;

/// The largest real files, and what else has to be said of them.
const LARGE: [(&str, &[&str]); 3] = [
    ("b-greenbutton/pge_real_customer_history_2013-2014.xml", &[]),
    ("a-zne17-california/zne17_hourly_2017-05.csv", &["--meter", "3"]),
    ("a-ausgrid-customer12/customer12_2011-07_2012-06_halfhourly.csv", &["--zone", "Australia/Sydney"]),
];

/// The binary of `make small`, beside the one of the tests.
fn small() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_gridveil")).parent().unwrap().with_file_name("small").join("gridveil");
    assert!(path.exists(), "{}: make small builds it", path.display());
    path
}

/// The most that a process has had in memory, as the kernel counts it, bytes; nothing once it has ended.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

struct Device {
    binary: PathBuf,
    dir: tempfile::TempDir,
    rows: Vec<Value>,
}

impl Device {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// A command to its end. It is looked at without a pause, and what it has had at most only grows: what is not seen is what it takes
    /// after the last look.
    fn measure(&mut self, what: &str, words: &[&str]) -> String {
        let mut command = Command::new(&self.binary);
        command.args(words).current_dir(self.dir.path()).env("GRIDVEIL_PASSPHRASE", "a passphrase");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (id, start) = (child.id(), Instant::now());
        let output = std::thread::spawn(move || child.wait_with_output().unwrap());
        let mut most = 0;
        while !output.is_finished() {
            most = most.max(peak(id).unwrap_or(0));
        }
        let output = output.join().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        self.row(what, most, start.elapsed());
        String::from_utf8(output.stdout).unwrap()
    }

    fn row(&mut self, what: &str, resident: u64, took: Duration) {
        println!("{what:<58} {:>6.1} MB {:>8.1} s", resident as f64 / 1e6, took.as_secs_f64());
        assert!(resident > 0, "{what}: it had ended before it was looked at");
        self.rows.push(json!({
            "step": what,
            "resident": Figure::new(resident as f64 / 1e6, "MB", Basis::Measured),
            "seconds": Figure::new(took.as_secs_f64(), "s", Basis::Measured),
        }));
    }
}

/// A day's file as `meter watch` writes it: quarters of an hour.
fn day(begin: i64) -> String {
    let row = |n: i64| {
        let start = begin + n * 900;
        format!("{start},{},{},{},A\n", start + 900, 120 + n * 7 % 300, n * 11 % 90)
    };
    let rows: String = (0..96).map(row).collect();
    format!("interval_start,interval_end,import_wh,export_wh,quality\n{rows}")
}

/// A community of quarters of an hour whose open period is today; nothing is settled yet.
fn operator(packets: Arc<Mutex<Vec<SignedPacket>>>) -> String {
    let next = Interval(u32::try_from(TODAY / 900).unwrap());
    let mut info = served(&[]);
    (info.intervals, info.interval_length, info.next_interval, info.open.first_interval) = (96, 900, next, next);
    let contract = hex(CONTRACT);
    let domain = hex(to_bytes(&domain(31_337, &CONTRACT, CIRCUIT_VERSION)));
    serve(move |path, body| match path {
        "/v1/info" => (
            200,
            format!(r#"{{"chain_id":31337,"contract":"0x{contract}","domain":"0x{domain}","circuit_version":2}}"#),
        ),
        "/v1/communities/5" => (200, serde_json::to_string(&info).unwrap()),
        "/v1/packets" => {
            let packet: SignedPacket = serde_json::from_str(body).unwrap();
            let id = hex(packet_id(&packet));
            packets.lock().unwrap().push(packet);
            (201, format!(r#"{{"packet_id":"{id}","status":"accepted"}}"#))
        }
        "/v1/given-back" => (200, r#"{"settled":false,"packet":null,"late":null,"operations":[]}"#.to_owned()),
        _ => problem(404, "not_found"),
    })
}

/// A meter that sends a hundred telegrams a second, read until `intervals` are kept.
fn watched(device: &mut Device, protocol: &str, more: &[&str], how: &[&str], intervals: usize) {
    let words = ["devnet", "meter", "--listen", "127.0.0.1:0", "--every-ms", "9", "--protocol", protocol];
    let words = [&words[..], &["--bad-every", "50", "--cut-after", "2000"], more].concat();
    let mut meter = Process::start(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let address = meter.wait("the meter's address", SOON, |said| {
        Some(said.lines().find_map(|line| line.strip_prefix("a meter at "))?.split(',').next()?.to_owned())
    });
    let folder = device.path(&format!("{protocol}.meter"));
    let mut command = Command::new(&device.binary);
    command.args(["meter", "watch", &address, "--format", protocol, "--into", &folder]).args(how);
    let (mut watch, start) = (Process::of(&mut command), Instant::now());
    watch.wait("intervals", Duration::from_secs(300), |said| {
        (said.matches("interval kept").count() >= intervals).then_some(())
    });
    let (most, took) = (peak(watch.child.id()).unwrap(), start.elapsed());
    watch.stop();
    let telegrams = took.as_millis() / 1000 * 100;
    device.row(&format!("meter watch --format {protocol}, some {telegrams} telegrams"), most, took);
}

#[test]
#[ignore = "needs make small, and two minutes: make bench-small"]
fn a_small_device_has_room_for_all_that_the_client_does() {
    let binary = small();
    let bytes = std::fs::metadata(&binary).unwrap().len();
    println!("{:<58} {:>6.1} MB", "the binary", bytes as f64 / 1e6);
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    let mut device = Device { binary, dir: tempfile::tempdir().unwrap(), rows: Vec::new() };

    // Its commands, and what it does not have.
    let refused = Command::new(&device.binary).args(["member", "account"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("`member`") && said.lines().count() == 1, "{said}");

    let path = |name: &str| device.path(name);
    let (keys, usual, wallet, other) = (path("home.keys"), path("usual.keys"), path("wallet"), path("other"));
    device.measure(USUAL_KEYS, &["meter", "keygen", "--keys", &usual]);
    device.measure("meter keygen --key-memory 19", &["meter", "keygen", "--keys", &keys, "--key-memory", "19"]);
    for (name, more) in LARGE {
        let file = Path::new(common::ROOT).join("../shared/data").join(name);
        if !file.exists() {
            println!("skipped: {} is not there", file.display());
            continue;
        }
        let what =
            format!("meter read, {} ({} bytes)", name.split('/').next_back().unwrap(), file.metadata().unwrap().len());
        device.measure(&what, &[&["meter", "read", file.to_str().unwrap(), "--json"], more].concat());
    }
    let year = device.path("year.csv");
    let head = day(TODAY).lines().next().unwrap().to_owned();
    let rows = (0..365).map(|n| day(TODAY - (365 - n) * 86_400).split_once('\n').unwrap().1.to_owned());
    std::fs::write(&year, format!("{head}\n{}", rows.collect::<String>())).unwrap();
    device.measure("meter read, a CSV of a year of quarters of an hour", &["meter", "read", &year, "--json"]);

    let folder = device.path("home.meter");
    std::fs::create_dir(&folder).unwrap();
    for n in 0..=DAYS {
        let name = format!("{folder}/{:03}.csv", DAYS - n);
        std::fs::write(name, day(TODAY - n * 86_400)).unwrap();
    }
    let today = format!("{folder}/{DAYS:03}.csv");
    let packets = Arc::new(Mutex::new(Vec::new()));
    let (url, rpc, contract) = (operator(Arc::clone(&packets)), rpc(Arc::default()), hex0(CONTRACT));
    let place = ["--url", &url, "--community", "5", "--slot", "0", "--keys", &keys];
    let place = [&place[..], &["--buy-limit", "10", "--sell-limit", "20"]].concat();
    let submit = [&["meter", "submit", &today, "--outbox", &wallet], &place[..]].concat();
    device.measure("meter submit, a day of 96 quarters of an hour", &submit);
    let sync = ["meter", "sync", &folder, "--rpc", &rpc, "--contract", &contract, "--once", "--outbox", &other];
    let what = format!("meter sync --once, a folder of {} days", DAYS + 1);
    device.measure(&what, &[&sync, &place[..]].concat());
    let handed_in: Vec<_> = packets.lock().unwrap().iter().map(|signed| signed.packet.readings.clone()).collect();
    assert!(handed_in.len() == 2 && handed_in[0] == handed_in[1] && handed_in[0].len() == 96);

    watched(&mut device, "p1", &["--speed", "900"], &[], 60);
    watched(&mut device, "sml", &[], &["--interval-length", "60"], 2);

    let over: Vec<_> = device
        .rows
        .iter()
        .filter(|row| row["step"] != USUAL_KEYS && row["resident"]["value"].as_f64().unwrap() > MOST_RESIDENT)
        .collect();
    assert!(over.is_empty(), "{over:?}");
    let report = json!({
        "form": "gridveil small-client 1",
        "machine": machine(),
        "binary": Figure::new(bytes as f64 / 1e6, "MB", Basis::Measured),
        "steps": device.rows,
    });
    let file = Path::new(common::ROOT).join("benches/results/small-client.json");
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&report).unwrap())).unwrap();
        println!("written: benches/results/small-client.json");
    }
}
