//! Files that a member or an auditor is handed, and what a server answers them.

use std::fmt::Write as _;

use gridveil_api::{
    Problem,
    admin::{ClosedPeriod, MissingPackets, PublishedTariff, Status},
    public::{CommunityInfo, Health, Info, NotePath, OperationState, OperationTaken, PacketTaken},
};
use gridveil_auditor::genesis::Genesis;
use gridveil_meter_client::{
    device::{Device, Unlock},
    key_store::Keys,
    proposal::ProposalFile,
    source::{self, Choice, Cut, Format, Import, Purpose, Rule, SourceError},
    wallet::{ClaimFile, ConsentFile, DecisionFile, ExchangeFile, NoteFile, read_file},
};
use gridveil_protocol::{field::Fr, units::Interval};
use gridveil_readings::{
    csv::Mapping,
    live::{Book, Border, Event, Found, Now, Speech, Stream, Terms},
    report, sml,
};
use serde::de::DeserializeOwned;

use crate::{file_of, json};

/// A meter file of columns. What was read, written as the plainest such file, reads the same.
pub fn meter_csv(data: &[u8]) {
    let Some(import) = meter(data, Format::Csv) else { return };
    let mut text = "interval_start,import_wh,export_wh\n".to_owned();
    for entry in import.series.entries() {
        let _ = writeln!(text, "{},{},{}", entry.start, entry.import_wh, entry.export_wh);
    }
    let choice = Choice { format: Some(Format::Csv), length: Some(import.series.length()), ..Choice::default() };
    let again = match source::read(text.as_bytes(), &choice) {
        Ok(again) => again,
        Err(error) => {
            // Differences of a register may rise all day, and parts of an interval may add up to more than one may have.
            assert!(
                matches!(error, SourceError::LooksLikeRegister { .. } | SourceError::Implausible { .. }),
                "{error}"
            );
            return;
        }
    };
    let energies = |import: &Import| -> Vec<_> {
        import.series.entries().iter().map(|e| (e.start, e.import_wh, e.export_wh)).collect()
    };
    assert!(energies(&again) == energies(&import), "the series changed");
}

/// A Green Button feed.
pub fn meter_green_button(data: &[u8]) {
    let _ = meter(data, Format::GreenButton);
}

/// An interval file of Australia.
pub fn meter_nem12(data: &[u8]) {
    let _ = meter(data, Format::Nem12);
}

/// Telegrams of a P1 port.
pub fn meter_p1(data: &[u8]) {
    let _ = meter(data, Format::P1);
    live(data, Speech::P1);
}

/// The same bytes as a line brings them, in pieces: it keeps to itself what is no telegram, and books none of it.
fn live(data: &[u8], speech: Speech) {
    let terms = Terms { length: 900, modulus: None };
    let (mut stream, mut book, mut last) = (Stream::new(speech), Book::new(terms, None), None::<Border>);
    for (at, part) in (0i64..).zip(data.chunks(97)) {
        for found in stream.push(part) {
            let Found::Reading(reading) = found else { continue };
            assert!(reading.registers.iter().flatten().all(|energy| !energy.is_negative()), "a register below zero");
            let now = Now { unix: 1_800_000_000 + at, up: at, boot: String::new() };
            for event in book.take(reading, now) {
                let Event::Border(border) = event else { continue };
                assert!(last.as_ref().is_none_or(|last| last.start < border.start), "a border came twice");
                last = Some(border);
            }
        }
    }
    stream.end();
}

/// Telegrams of a German meter.
pub fn meter_sml(data: &[u8]) {
    let _ = meter(data, Format::Sml);
    live(data, Speech::Sml);
    for telegram in sml::telegrams(data).0 {
        assert!(telegram.meter.len().is_multiple_of(2), "a server number is bytes");
    }
}

/// A workbook.
pub fn meter_xlsx(data: &[u8]) {
    let _ = meter(data, Format::Xlsx);
}

/// A message of a network operator.
pub fn meter_mscons(data: &[u8]) {
    let _ = meter(data, Format::Mscons);
}

/// Records of a charging station.
pub fn meter_ocmf(data: &[u8]) {
    let _ = meter(data, Format::Ocmf);
}

/// A user's mapping of columns.
pub fn meter_mapping(data: &[u8]) {
    let Some(mapping) = std::str::from_utf8(data).ok().and_then(|text| Mapping::parse(text).ok()) else { return };
    let choice = Choice { mapping: Some(mapping), ..Choice::default() };
    let _ = source::read(b"Datum;Zeit;Wert\n26.10.2025;00:15;0,25\n26.10.2025;00:30;0,5\n", &choice);
}

/// Reads a meter file twice and does with it what a member's client does.
fn meter(data: &[u8], format: Format) -> Option<Import> {
    let choice = Choice { format: Some(format), ..Choice::default() };
    let import = source::read(data, &choice).ok()?;
    assert!(source::read(data, &choice).as_ref() == Ok(&import), "two readings of one file");
    let series = &import.series;
    assert!(
        series.entries().windows(2).all(|pair| matches!(pair, [a, b] if a.start < b.start)),
        "entries out of order"
    );
    let _ = (series.gaps(), report::json(&import), report::table(&import));
    if let Ok(hours) = series.resample(3600) {
        assert!(
            hours.total_wh().iter().zip(series.total_wh()).all(|(hours, all)| *hours <= all),
            "energy from nowhere"
        );
    }
    let first = series.entries().first().map_or(0, |entry| entry.start / i64::from(series.length()));
    let first_interval = u32::try_from(first).map_or(Interval::MAX, Interval);
    let cut =
        Cut { first_interval, intervals: 24, length: series.length(), scale: 1, purpose: Purpose::Metered(Rule::ALL) };
    let estimated = series.entries().iter().take(24).any(|entry| entry.quality.is_estimate());
    assert!(cut.of(&import).is_err() || !estimated, "an estimate was signed as metered");
    Some(import)
}

/// Passphrase of the seeds.
pub const PASSPHRASE: &str = "fuzz";
/// Most memory that a key file may ask for here, KiB: the program's own bound is a gigabyte, which takes seconds.
const CHEAP_KIB: u32 = 1 << 10;

/// A key file, of a household or of a device. One that asks for a costly derivation is not tried.
pub fn key_file(data: &[u8]) {
    let cost = |at: usize| {
        let bytes = data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    // Beyond the program's own bounds the file is refused before any work.
    let costly = cost(4) > CHEAP_KIB || cost(8) > 4;
    if costly && cost(4) <= 1 << 20 && cost(8) <= 64 {
        return;
    }
    let (_directory, path) = file_of(data, "keys");
    let device = || Device::open(&path, Unlock::Passphrase(PASSPHRASE)).ok().map(|device| device.public());
    assert!(device() == device());
    if let Ok(keys) = Keys::open(&path, PASSPHRASE) {
        let again = Keys::open(&path, PASSPHRASE).expect("a key file that opened opens again");
        assert!(again.owner.public() == keys.owner.public() && again.same_folder(&keys));
    }
}

/// An auditor's list of community nodes.
pub fn genesis(data: &[u8]) {
    let (_directory, path) = file_of(data, "genesis.json");
    let read = Genesis::read(&path).ok();
    assert!(read == json(data), "the file and its bytes disagree");
    if let Some(genesis) = read {
        assert_eq!(genesis.nodes().len(), genesis.communities.len());
    }
}

/// A file that members, the meter data manager and the operator hand to each other.
pub fn exchange_file(data: &[u8]) {
    exchanged::<ClaimFile>(data);
    exchanged::<NoteFile>(data);
    exchanged::<ConsentFile>(data);
    exchanged::<DecisionFile>(data);
    exchanged::<ProposalFile>(data);
}

fn exchanged<T: ExchangeFile + PartialEq>(data: &[u8]) {
    let Some(file) = json::<T>(data) else { return };
    let (_directory, path) = file_of(data, "exchanged.json");
    let read = read_file::<T>(&path, &file.deployment()).ok();
    assert!(read.is_some_and(|read| read == file), "the file and its bytes disagree");
}

/// Whatever a server answers: its client reads it or refuses it, and shows a person one harmless line.
pub fn api_answer(data: &[u8]) {
    fn read<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
        serde_json::from_slice(data).ok()
    }
    if let Some(info) = read::<Info>(data) {
        assert!(info.checked_domain().is_none_or(|domain| domain == info.domain));
    }
    if let Some(note) = read::<NotePath>(data) {
        let _ = note.leads_from(Fr::from(1u64));
    }
    if let Some(problem) = read::<Problem>(data) {
        let shown = problem.to_string();
        assert!(shown.chars().all(|c| !c.is_control()) && shown.chars().count() < 1_000, "{shown}");
    }
    let _ = (read::<CommunityInfo>(data), read::<OperationState>(data), read::<Health>(data));
    let _ = (read::<PacketTaken>(data), read::<OperationTaken>(data));
    let _ = (read::<ClosedPeriod>(data), read::<MissingPackets>(data), read::<PublishedTariff>(data));
    let _ = read::<Status>(data);
}
