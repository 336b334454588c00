//! An export of a fixture's settlement: written, read, checked, and every way of changing it found.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use gridveil_api::export::{ExportPart, ExportedAccount, ExportedPeriod, GoneRecord, PacketOf, SCHEMA};
use gridveil_protocol::{
    fixture::{self, Recipe},
    market::Mechanism,
    params::Shape,
    receipt::Receipt,
    settlement::{Transition, apply},
};
use gridveil_readings::zone::Zone;
use gridveil_verifier_contract::{
    anvil::ANVIL_KEYS,
    ethers_client::{Key, address_of},
};

use super::{check, folder::Folder, notice, *};

const SLOT: u16 = 1;

fn transition() -> Transition {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 5, mechanism: Mechanism::Auction, used: 3 };
    apply(fixture::settlement(&recipe).unwrap()).unwrap()
}

fn about(transition: &Transition) -> ExportedAccount {
    ExportedAccount {
        schema: SCHEMA,
        chain_id: 31337,
        contract: [0x11; 20],
        community: transition.after.index,
        slot: SLOT,
        account: 0,
        lives: true,
        ended_with: None,
        erased: false,
        intervals: transition.after.header.intervals,
        interval_length: transition.after.header.interval_length,
        made_s: 1_793_000_000,
        erased_from_s: None,
    }
}

fn parts(transition: &Transition) -> Vec<ExportPart> {
    let slot = usize::from(SLOT);
    let (before, after) = (&transition.input.community.accounts[slot], &transition.after.accounts[slot]);
    let first_interval = transition.input.community.header.next_interval;
    let state = |batch, account: &gridveil_protocol::account::Account| ExportPart::State {
        first_interval,
        batch,
        counts: true,
        account: Box::new(account.clone()),
    };
    let of = if transition.input.packets[slot].packet.substituted { PacketOf::Substitute } else { PacketOf::Meter };
    vec![
        state(None, before),
        ExportPart::Packet {
            of,
            counts: true,
            outcome: None,
            packet: Box::new(transition.input.packets[slot].clone()),
        },
        state(Some(1), after),
        ExportPart::Period(ExportedPeriod {
            first_interval,
            batch: 1,
            is_final: true,
            tx: None,
            block: Some(7),
            root: transition.instance.new_root,
            tariff_from: first_interval,
            substituted: Some(of == PacketOf::Substitute),
        }),
        ExportPart::Tariff { first_interval, tariff: transition.input.tariff.clone() },
        ExportPart::Receipt { batch: 1, receipt: Box::new(Receipt::of(transition, slot).unwrap()) },
        ExportPart::Gone { what: GoneRecord::Operation, first_interval },
    ]
}

fn filled() -> (notice::Notice, String) {
    let text = include_str!("../../../../docs/gdpr/notice.toml").replace("FILL IN", "<b>of us</b>");
    (notice::parse(&text).unwrap(), text)
}

fn write(path: &Path, parts: &[ExportPart], key: Option<&Key>) -> folder::Finished {
    let zone = Zone::parse("Europe/Vienna").unwrap();
    let mut folder = Folder::create(path, about(&transition()), zone, None).unwrap();
    parts.iter().for_each(|part| folder.add(part).unwrap());
    folder.with(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).unwrap();
    folder.finish(&filled(), key).unwrap()
}

fn checked(path: &Path, more: &[&str]) -> Result<(), String> {
    #[derive(clap::Parser)]
    struct Top {
        #[command(flatten)]
        args: check::Args,
    }
    let words = [&["check", path.to_str().unwrap(), "--json"], more].concat();
    let top: Top = clap::Parser::try_parse_from(words).unwrap();
    check::run(&top.args).map_err(|error| format!("{error:#}"))
}

#[test]
fn an_export_is_readable_signed_and_its_readers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("export"), Key::of_hex(ANVIL_KEYS[0]).unwrap());
    let transition = transition();
    let done = write(&path, &parts(&transition), Some(&key));
    assert_eq!((done.parts, done.gone, done.signer), (7, 1, Some(key.account())));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let signer = hex0(address_of(ANVIL_KEYS[0]).unwrap());
    checked(&path, &["--account", &signer]).unwrap();
    let other = checked(&path, &["--account", &hex0(address_of(ANVIL_KEYS[1]).unwrap())]).unwrap_err();
    assert!(other.contains("signed by"), "{other}");
    let contract = checked(&path, &["--contract", &hex0([0x22; 20])]).unwrap_err();
    assert!(contract.contains("another contract"), "{contract}");
    // Times are local, energies have their unit.
    let csv = fs::read_to_string(path.join(READINGS_CSV)).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "from,to,import_wh,export_wh,made_by,counts");
    let reading = &transition.input.packets[usize::from(SLOT)].packet;
    let import = u64::from(reading.readings[0].import) * u64::from(reading.scale);
    assert_eq!(lines.len(), 1 + reading.readings.len());
    assert!(lines[1].contains(" +0") && lines[1].contains(&format!(",{import},")), "{}", lines[1]);
    let page = fs::read_to_string(path.join(PAGE)).unwrap();
    for word in ["src=", "href=", "url(", "<script", "<b>of us</b>", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    for word in [
        "Your data",
        "&lt;b&gt;of us&lt;/b&gt;",
        "Legal basis",
        "What was erased",
        "also-Cargo.toml",
        "Article 6(1)(b)",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
    // Nobody writes over one.
    let zone = Zone::utc();
    assert!(Folder::create(&path, about(&transition), zone, None).is_err());
}

#[test]
fn every_byte_that_changes_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("export"), Key::of_hex(ANVIL_KEYS[0]).unwrap());
    write(&path, &parts(&transition()), Some(&key));
    let names: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 16, "{names:?}");
    for name in &names {
        let file = path.join(name);
        let bytes = fs::read(&file).unwrap();
        let places = [0, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(2)];
        for at in places.into_iter().filter(|at| *at < bytes.len()) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&file, changed).unwrap();
            let found = checked(&path, &[]);
            // A blank of the signature's own file says nothing.
            let harmless = name == SIGNATURE && bytes[at].is_ascii_whitespace();
            assert!(found.is_err() || harmless, "{name}, byte {at}");
        }
        for shorter in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
            fs::write(&file, &bytes[..shorter]).unwrap();
            assert!(
                checked(&path, &[]).is_err() || bytes.is_empty() || (name == SIGNATURE && shorter + 1 == bytes.len())
            );
        }
        fs::remove_file(&file).unwrap();
        let signer = hex0(key.account());
        assert!(checked(&path, &["--account", &signer]).is_err(), "{name} is gone");
        fs::write(&file, &bytes).unwrap();
        checked(&path, &[]).unwrap();
    }
    fs::write(path.join("more.json"), "{}").unwrap();
    assert!(checked(&path, &[]).unwrap_err().contains("not in the list"));
}

/// Whoever makes hashes and signature anew still cannot change what meters, owners and the chain say.
#[test]
fn figures_that_were_changed_before_signing_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let transition = transition();
    type Edit = fn(&mut Vec<ExportPart>);
    let edits: BTreeMap<&str, Edit> = [
        (
            "not signed by the meter",
            (|parts: &mut Vec<ExportPart>| {
                if let ExportPart::Packet { packet, .. } = &mut parts[1] {
                    packet.packet.readings[0].import ^= 1;
                }
            }) as Edit,
        ),
        ("of another account", |parts: &mut Vec<ExportPart>| {
            if let ExportPart::Packet { packet, .. } = &mut parts[1] {
                packet.packet.slot ^= 1;
            }
        }),
        ("differs from the bill", |parts: &mut Vec<ExportPart>| {
            if let ExportPart::Receipt { receipt, .. } = &mut parts[5] {
                receipt.settled.balance += 1;
                receipt.after.balance += 1;
            }
        }),
        ("leaf and path do not lead to the root", |parts: &mut Vec<ExportPart>| {
            if let ExportPart::Period(period) = &mut parts[3] {
                period.root += gridveil_protocol::field::Fr::from(1u64);
            }
        }),
        ("its tariff is not here", |parts: &mut Vec<ExportPart>| drop(parts.remove(4))),
    ]
    .into_iter()
    .collect();
    assert!(edits.len() == 5);
    for (n, (said, edit)) in edits.into_iter().enumerate() {
        let path = dir.path().join(n.to_string());
        let mut parts = parts(&transition);
        edit(&mut parts);
        write(&path, &parts, None);
        let error = checked(&path, &[]).unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
    }
    let path = dir.path().join("right");
    write(&path, &parts(&transition), None);
    checked(&path, &[]).unwrap();
    assert!(checked(&path, &["--account", &hex0([1; 20])]).unwrap_err().contains("nobody signed"));
}

/// A person who took an account over gets nothing of the one before.
#[test]
fn what_was_before_a_person_came_is_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let (path, transition) = (dir.path().join("export"), transition());
    let all = parts(&transition);
    let period_s = i64::from(transition.input.community.header.next_interval.0)
        * i64::from(transition.after.header.interval_length);
    for (since, given) in [(period_s, 6), (period_s + 1, 1)] {
        let path = path.with_extension(since.to_string());
        let mut folder = Folder::create(&path, about(&transition), Zone::utc(), Some(since)).unwrap();
        all.iter().for_each(|part| folder.add(part).unwrap());
        assert_eq!(
            folder.finish(&filled(), None).unwrap().parts,
            given,
            "the state before the first period is another's"
        );
        checked(&path, &[]).unwrap();
    }
}
