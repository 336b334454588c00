//! `gridveil meter sync`: days that are measured, estimated, and measured after all; stopped as a service is.

use gridveil_protocol::{correction::Correction, packet::Reading};
use serde_json::Value;

use super::*;
use crate::common::process::{Process, SOON};

/// A member's machine: keys, a folder of meter files, and what it types.
struct Home {
    world: World,
    files: [String; 5],
}

impl Home {
    fn new(world: World) -> Self {
        let cost = gridveil_meter_client::key_store::Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let path = |name: &str| world.dir.path().join(name).to_str().unwrap().to_owned();
        let files = ["keys", "meter", "0", "copies", "mdm.keys"].map(path);
        world.members[0].create(Path::new(&files[0]), "a passphrase", cost).unwrap();
        Device::of(fixture::meter_key(0))
            .create(&Path::new(&files[0]).with_extension("device"), Lock::Passphrase("a passphrase", cost))
            .unwrap();
        let mdm = Keys::of(fixture::mdm_key(), SealingKey::new([9; 32]));
        mdm.create(Path::new(&files[4]), "a passphrase", cost).unwrap();
        std::fs::create_dir(&files[1]).unwrap();
        Self { world, files }
    }

    /// A file of one period: Wh and quality of each interval.
    fn meter(&self, name: &str, first: Interval, rows: [(u32, &str); 2]) {
        let row = |(position, (wh, quality)): (u32, (u32, &str))| {
            let start = i64::from(first.0 + position) * 3600;
            format!("{start},{},{wh},0,{quality}\n", start + 3600)
        };
        let rows: String = (0..).zip(rows).map(row).collect();
        let text = format!("interval_start,interval_end,import_wh,export_wh,quality\n{rows}");
        std::fs::write(Path::new(&self.files[1]).join(name), text).unwrap();
    }

    fn words(&self, command: &[&str]) -> Vec<String> {
        let place = ["--url", &self.world.sequencer, "--community", "5", "--slot", "0", "--keys", &self.files[0]];
        let more = ["--outbox", &self.files[2], "--buy-limit", "10", "--sell-limit", "20", "--scale", "10"];
        [&["meter"], command, &place, &more].concat().into_iter().map(str::to_owned).collect()
    }

    fn sync(&self, more: &[&str]) -> Vec<String> {
        let contract = hex0(CONTRACT);
        let l1 = ["--rpc", &self.world.rpc, "--contract", &contract, "--backup", &self.files[3], "--json"];
        self.words(&[&["sync", &self.files[1]], &l1[..], more].concat())
    }

    fn says(&self, l1: Worst) {
        self.world.book.lock().unwrap().l1 = l1;
    }

    /// The events of one round.
    fn once(&self) -> Vec<Value> {
        let words = self.sync(&["--once"]);
        let output = gridveil(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Names of the events with their period's first interval, without backups.
    fn round(&self) -> Vec<(String, Option<u64>)> {
        let events = self.once().into_iter().filter(|event| event["event"] != "backup");
        events.map(|e| (e["event"].as_str().unwrap().to_owned(), e["first_interval"].as_u64())).collect()
    }

    fn packets(&self) -> Vec<SignedPacket> {
        self.world.book.lock().unwrap().handed_in.clone()
    }

    fn copies(&self) -> usize {
        std::fs::read_dir(&self.files[3]).map_or(0, Iterator::count)
    }
}

fn event(name: &str, first: Interval) -> (String, Option<u64>) {
    (name.to_owned(), Some(u64::from(first.0)))
}

fn units(import: [u16; 2]) -> Vec<Reading> {
    import.map(|import| Reading { import, export: 0 }).to_vec()
}

#[test]
fn days_are_handed_in_proposed_and_corrected() {
    let (mut world, input) = World::new();
    let begin = input.community.header.next_interval;
    let first = world.settle(input);
    let mut home = Home::new(world);
    let one = first.after.header.next_interval;
    let [two, three] = [one + 2, one + 4];
    home.meter("1.csv", one, [(500, "A"), (509, "A")]);
    home.meter("2.csv", two, [(400, "A"), (300, "E")]);
    std::fs::write(Path::new(&home.files[1]).join("notes.txt"), "my meter is in the cellar").unwrap();

    // The first one is the account's beginning; the next is open; the one after waits for its turn.
    assert_eq!(home.round(), [event("statement", begin), event("sent", one)]);
    assert_eq!((home.packets().len(), home.copies()), (1, 1));
    assert!(home.packets()[0].packet.readings == units([50, 50]) && !home.packets()[0].packet.substituted);
    assert_eq!((home.round(), home.packets().len(), home.copies()), (vec![], 1, 1), "nothing is new");

    let mut second = fixture::following(&first, 2, |_| false).unwrap();
    second.packets[0].packet.readings = units([50, 50]);
    let second = home.world.settle(second);
    let events = home.once();
    let proposed = events.iter().find(|event| event["event"] == "proposed").unwrap();
    let hour = jiff_utc(i64::from(two.0 + 1) * 3600);
    assert!(proposed["not_measured"].as_str().unwrap().starts_with(&hour), "{proposed}");
    assert!(events.iter().any(|e| e["event"] == "statement" && e["substituted"] == false), "{events:?}");
    assert_eq!(home.packets().len(), 1, "nothing estimated is signed");

    // By hand it is the same: refused with the dates, or proposed.
    let file = format!("{}/2.csv", home.files[1]);
    let words = home.words(&["submit", &file]);
    let output = gridveil(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.lines().count() == 1, "{error}");
    assert!(error.matches(&hour).count() == 1, "with its dates, and once: {error}");
    let own = home.world.dir.path().join("own.json").to_str().unwrap().to_owned();
    let words = home.words(&["submit", &file, "--propose", &own]);
    let output = gridveil(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("mdm substitute"));
    assert_eq!(home.packets().len(), 1);

    // The meter data manager takes it, for the slot that it is about.
    let contract = hex0(CONTRACT);
    let mdm = ["--keys", &home.files[4], "--rpc", &home.world.rpc, "--contract", &contract];
    let mdm = [&mdm[..], &["--url", &home.world.sequencer, "--json"]].concat();
    let name = proposed["file"].as_str().unwrap();
    let substitute = |more: &[&str]| gridveil(&[&["mdm", "substitute"], more, &mdm[..]].concat());
    let other = String::from_utf8(substitute(&[name, "--slot", "1", "--yes"]).stderr).unwrap();
    assert!(other.contains("the proposal is for slot 0"), "{other}");
    let unsaid = String::from_utf8(substitute(&[&file, "--yes"]).stderr).unwrap();
    assert!(unsaid.contains("--community and --slot"), "{unsaid}");
    assert_eq!(home.packets().len(), 1);
    let done = substitute(&[name, "--yes"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let packets = home.packets();
    assert!(packets.len() == 2 && packets[1].packet.substituted && packets[1].packet.readings == units([40, 30]));

    // It is settled with a substitute. Then the meter's own reading comes, and is handed in late.
    let third = home.world.settle_with(fixture::following(&second, 3, |slot| slot == 0).unwrap(), &[1]);
    assert_eq!(third.after.header.next_interval, three);
    assert_eq!(home.round(), [event("statement", two)], "an estimate corrects no substitute");
    home.meter("2.csv", two, [(400, "A"), (310, "A")]);
    assert_eq!(home.round(), [event("late", two)]);
    let packets = home.packets();
    assert!(packets.len() == 3 && !packets[2].packet.substituted && packets[2].packet.readings == units([40, 31]));
    assert_eq!(home.round(), []);

    // The answer is lost, as far as the folder knows: the very same is late again.
    let noted = format!("{}-5-0-{two}.delivered", &hex(to_bytes(&third.input.domain))[..16]);
    std::fs::remove_file(Path::new(&home.files[2]).join(noted)).unwrap();
    assert_eq!(home.round(), [event("late", two)]);
    assert!(home.packets().len() == 4 && home.packets()[3] == packets[2]);

    // It is booked, and the operator has no more of it to give back than the receipt. Then the folder is lost.
    let mut fourth = fixture::following(&third, 4, |_| false).unwrap();
    fourth.operations.correction = Some(Correction {
        substitute: third.input.packets[0].clone(),
        signer: fixture::mdm_key().public(),
        late: packets[2].clone(),
        tariff: third.input.tariff.clone(),
    });
    home.world.settle(fourth);
    home.world.book.lock().unwrap().packets.clear();
    std::fs::remove_dir_all(&home.files[2]).unwrap();
    let statements = [begin, one, two, three].map(|first| event("statement", first));
    assert_eq!(home.round(), statements, "what was booked is not signed again");
    assert_eq!((home.round(), home.packets().len()), (vec![], 4));
    the_bill_has_what_was_booked(&home, begin);
}

/// What the late packet changed is in the items, wherever they are shown: all of it is what the account moved.
fn the_bill_has_what_was_booked(home: &Home, begin: Interval) {
    let contract = hex0(CONTRACT);
    let path = |name: &str| home.world.dir.path().join(name).to_str().unwrap().to_owned();
    let [html, pdf, csv] = ["bill.html", "bill.pdf", "bill.csv"].map(path);
    let day = |first: Interval| jiff_utc(i64::from(first) * 3600)[..10].to_owned();
    let (from, to) = (day(begin), day(begin + 7));
    let bill = |more: &[&str]| {
        let days = ["member", "bill", "--from", &from, "--to", &to, "--rpc", &home.world.rpc, "--contract", &contract];
        let place = ["--community", "5", "--slot", "0", "--keys", &home.files[0], "--wallet", &home.files[2]];
        let output = gridveil(&[&days[..], &place, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shown: Value = serde_json::from_str(&bill(&["--json"])).unwrap();
    let (bill_of, nano) = (&shown["bill"], |value: &Value| value.as_i64().unwrap());
    let total = nano(&bill_of["total_nano"]);
    assert_eq!(total, nano(&bill_of["opening_nano"]) - nano(&bill_of["closing_nano"]), "{bill_of}");
    assert_eq!((&bill_of["corrected_intervals"], &bill_of["substituted_intervals"]), (&2.into(), &0.into()));
    let said = bill(&["--html", &html, "--pdf", &pdf, "--csv", &csv]);
    assert!(said.contains("a late packet corrected") && said.contains("currency a kWh"), "{said}");
    assert!(said.contains("correction of 20") && said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let line = said.lines().find(|line| line.starts_with("to pay") || line.starts_with("earned")).unwrap();
    let amount = line.split_whitespace().next_back().unwrap();
    let (page, paper) = (std::fs::read_to_string(html).unwrap(), std::fs::read(pdf).unwrap());
    assert!(page.contains(&format!("<td>{amount}</td>")), "{page}");
    assert!(paper.windows(amount.len()).any(|part| part == amount.as_bytes()));
    let rows = std::fs::read_to_string(csv).unwrap();
    let cells = |row: &str| row.split(',').map(str::to_owned).collect::<Vec<_>>();
    let paid = |row: &str| cells(row)[5].replace('.', "").parse::<i64>().unwrap();
    let items = rows.lines().skip(1).filter(|row| cells(row)[2] != "total").map(paid);
    assert_eq!((items.sum::<i64>(), paid(rows.lines().last().unwrap())), (total, total), "{rows}");
}

fn jiff_utc(seconds: i64) -> String {
    gridveil_meter_client::cli::utc(seconds)
}

#[test]
fn a_service_says_things_once_and_ends_when_it_is_asked_to() {
    let (mut world, input) = World::new();
    let next = world.settle(input).after.header.next_interval;
    let home = Home::new(world);
    // An hour is missing in between, and nobody reads the meter.
    home.meter("1.csv", next, [(500, "A"), (100, "A")]);
    let path = Path::new(&home.files[1]).join("1.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    let later = i64::from(next.0 + 2) * 3600;
    std::fs::write(&path, format!("{}\n{}\n{later},{},7,0,A\n", rows[0], rows[1], later + 3600)).unwrap();
    let state = r#"{"open":false,"running":false,"last_telegram":null,"last_border":null,"intervals":0,"troubles":{}}"#;
    std::fs::write(Path::new(&home.files[1]).join("watch.json"), state).unwrap();
    let words = home.sync(&["--every", "1"]);
    let mut command = common::gridveil();
    let mut service = Process::of(command.args(words).env("GRIDVEIL_PASSPHRASE", "a passphrase"));
    service.wait("what is wrong is said", SOON, |said| {
        (said.contains(r#""event":"not-signed""#) && said.contains("the meter is not read")).then_some(())
    });
    // Two rounds more say no more.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let said = service.said();
    assert_eq!(said.matches("not-signed").count() + said.matches("the meter is not read").count(), 2, "{said}");
    home.meter("1.csv", next, [(500, "A"), (100, "A")]);
    service.wait("the day is handed in", SOON, |said| said.contains(r#""event":"sent""#).then_some(()));
    assert_eq!(home.packets().len(), 1);
    service.stop();
}

#[test]
fn what_l1_says_of_the_account_is_said_once_a_change() {
    let (mut world, input) = World::new();
    let next = world.settle(input).after.header.next_interval;
    let home = Home::new(world);
    home.meter("1.csv", next, [(500, "A"), (100, "A")]);
    let words = home.sync(&["--every", "1"]);
    let mut command = common::gridveil();
    let mut service = Process::of(command.args(words).env("GRIDVEIL_PASSPHRASE", "a passphrase"));
    service.wait("a round", SOON, |said| said.contains(r#""event":"sent""#).then_some(()));
    assert!(!service.said().contains("rollup"), "nothing is wrong: {}", service.said());
    let all = Worst { frozen: true, emergency: true, exited: true, ending: 3 };
    let story = [
        (Worst { ending: 1, ..Worst::default() }, "closing"),
        (Worst { ending: 2, ..Worst::default() }, "ending"),
        (Worst { emergency: true, ending: 2, ..Worst::default() }, "unsound"),
        (Worst::default(), "open"),
        (Worst { ending: 3, emergency: true, ..Worst::default() }, "closed"),
        (Worst { exited: false, ..all }, "frozen"),
        (all, "exited"),
        (Worst { emergency: true, ..Worst::default() }, "unsound"),
    ];
    let events = |said: &str| -> Vec<Value> {
        let all = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|event| event["event"] == "rollup").collect()
    };
    for (number, (l1, expected)) in (1..).zip(story) {
        home.says(l1);
        service.wait(expected, SOON, |said| (events(said).len() == number).then_some(()));
        let event = events(&service.said()).pop().unwrap();
        assert_eq!(event["rollup"], expected, "{event}");
        let leaves = ["unsound", "closed", "frozen"].contains(&expected);
        assert_eq!((&event["exit"], event["what"].as_str().unwrap().contains("member exit")), (&leaves.into(), leaves));
    }
    // Two rounds more say no more.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(events(&service.said()).len(), story.len(), "{}", service.said());
    service.stop_with(r#"{"event":"stopped","rollup":"unsound"}"#);
}

#[test]
fn a_round_under_a_frozen_rollup_ends_with_an_error_even_if_the_sequencer_is_gone() {
    let (mut world, input) = World::new();
    let next = world.settle(input).after.header.next_interval;
    let home = Home::new(world);
    home.meter("1.csv", next, [(500, "A"), (100, "A")]);
    let once = |url: &str| {
        let words = home.sync(&["--once"]);
        let words = words.iter().map(|word| if *word == home.world.sequencer { url } else { word });
        let words: Vec<&str> = words.filter(|word| *word != "--json").collect();
        let output = gridveil(&words);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(once(&home.world.sequencer).0);
    home.says(Worst { frozen: true, ..Worst::default() });
    let (done, said) = once(&home.world.sequencer);
    let says = "gridveil: L1 says of this account: frozen: nothing is settled any more; leave with member exit (docs/spec/wallet.md";
    let ends = "L1 settles nothing of this account any more: frozen";
    assert!(!done && said.lines().count() == 2, "{said}");
    assert!(said.lines().next().unwrap().starts_with(says) && said.lines().nth(1).unwrap().contains(ends), "{said}");
    let (done, said) = once("http://127.0.0.1:9");
    assert!(!done && said.starts_with(says), "{said}");
    // The end is announced: it goes on.
    home.says(Worst { ending: 1, ..Worst::default() });
    let (done, said) = once(&home.world.sequencer);
    assert!(
        done && said == "gridveil: L1 says of this account: open; the end of the community is announced\n",
        "{said}"
    );
}

/// By hand it is as little work: what the file has of a day that was late goes first, and what became of it is said.
#[test]
fn submit_hands_in_what_is_late_and_says_what_became_of_it() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    let mut home = Home::new(world);
    let one = first.after.header.next_interval;
    let two = one + 2;
    let submit = |home: &Home| {
        let words = home.words(&["submit", &format!("{}/1.csv", home.files[1])]);
        let output = gridveil(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    };
    let second = home.world.settle_with(fixture::following(&first, 2, |slot| slot == 0).unwrap(), &[1]);
    home.meter("1.csv", two, [(300, "A"), (310, "A")]);
    home.round();
    // The late day is in another file still.
    let (said, good) = submit(&home);
    assert!(
        good && said.contains("settled with a substitute\n  not handed in") && said.contains("duplicate"),
        "{said}"
    );
    let first_row = |first: Interval| i64::from(first) * 3600;
    let row = |start: i64, wh: u32| format!("{start},{},{wh},0,A\n", start + 3600);
    let rows =
        [(first_row(one), 400), (first_row(one) + 3600, 410), (first_row(two), 300), (first_row(two) + 3600, 310)];
    let text: String = rows.into_iter().map(|(start, wh)| row(start, wh)).collect();
    std::fs::write(
        Path::new(&home.files[1]).join("1.csv"),
        format!("interval_start,interval_end,import_wh,export_wh,quality\n{text}"),
    )
    .unwrap();
    let (said, good) = submit(&home);
    assert!(
        good && said.contains("handed in late") && said.contains("a later settlement books the difference"),
        "{said}"
    );
    let packets = home.packets();
    let late = packets.iter().find(|signed| signed.packet.context.first_interval == one).unwrap().clone();
    assert!(late.packet.readings == units([40, 41]));

    let mut third = fixture::following(&second, 3, |_| false).unwrap();
    third.packets[0] = packets.iter().find(|signed| signed.packet.context.first_interval == two).unwrap().clone();
    third.operations.correction = Some(Correction {
        substitute: second.input.packets[0].clone(),
        signer: fixture::mdm_key().public(),
        late,
        tariff: second.input.tariff.clone(),
    });
    home.world.settle_with(third, &[1]);
    home.round();
    let (said, _) = submit(&home);
    assert!(said.contains("settled with a substitute\n  booked in the settlement of"), "{said}");
}
