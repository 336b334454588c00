//! OCMF: what a charging station signs for each session, one record a line (S.A.F.E., Open Charge Metering Format 1.4).
//!
//! A record has readings of the station's register: at the begin, at the end, perhaps between. The difference of two
//! readings is booked between their instants (see `sessions`). The signature is ECDSA over the payload as it was written;
//! it is checked with the station's key (`--public-key`), and a record that is not checked is not signed on without the
//! member's word. A reading of a meter that was not well, or that is no energy, leaves its record out.

mod sessions;

use std::collections::BTreeMap;

use ocmf::{MeterState, Record, Register, TimeStatus};

use crate::{
    Choice, Finding, Place, Rule, SourceError,
    energy::{Decimal, Energy, Unit},
    error::shown,
    model::{Channel, Decoded, Direction, Quality},
    zone::checked_length,
};

/// How a record begins.
pub const START: &[u8] = b"OCMF|";
/// Interval, seconds, unless another is asked for.
const INTERVAL: u32 = 900;

/// A reading of one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Unix seconds, rounded down.
    time: i64,
    /// The register.
    energy: Energy,
    quality: Quality,
    at: Place,
}

/// The readings of one record and register.
type Session = Vec<Point>;

/// One register of one station.
#[derive(Default)]
struct Counted {
    /// Does it begin anew with every session?
    of_session: bool,
    sessions: Vec<Session>,
}

/// Registers of one station and direction, by how near they are to the mains, then by their code.
type Registers = BTreeMap<(String, Direction), BTreeMap<(u8, String), Counted>>;

/// Reads every station.
///
/// # Errors
/// [`SourceError::Signature`]; [`SourceError::NotRead`] for what is no record; [`SourceError::Overlapping`] for sessions of
/// one station at one time; [`SourceError::RegisterFalls`]; [`SourceError::NoInterval`] if no session has two readings.
pub fn decode(text: &str, choice: &Choice) -> Result<Decoded, SourceError> {
    let length = checked_length(u64::from(choice.length.unwrap_or(INTERVAL)), Place::default())?;
    let mut registers = Registers::new();
    let (mut findings, mut unsure, mut records) = (Vec::new(), 0u64, 0u64);
    for (at, text) in records_of(text)? {
        let record = Record::parse(text).map_err(|error| SourceError::NotRead(format!("{at}: {error}")))?;
        if let Some(key) = &choice.public_key {
            let refused = |error: ocmf::VerifyError| SourceError::Signature { at, why: error.to_string() };
            ocmf::verify_key_text(&record, key).map_err(refused)?;
        }
        records += 1;
        match readings(&record, at) {
            Ok(found) => {
                unsure += u64::from(found.iter().any(|reading| !reading.sure));
                add(&mut registers, &station(&record), found);
            }
            Err(why) => findings.push(Finding { at: Some(at), ..Finding::file(Rule::BadTelegram, why) }),
        }
    }
    if choice.public_key.is_none() {
        let unverified = Finding::file(Rule::Unverified, "give the station's key with --public-key");
        findings.push(Finding { count: records, ..unverified });
    }
    if unsure > 0 {
        findings.push(Finding { count: unsure, ..Finding::file(Rule::UnsureClock, "") });
    }
    let mut channels = Vec::new();
    for ((meter, direction), mut codes) in registers {
        let Some((_, counted)) = codes.pop_first() else { continue };
        for ((_, code), _) in codes {
            findings.push(Finding::file(Rule::PassedOver, format!("register {}", shown(&code))));
        }
        let raws = sessions::intervals(counted, length, &mut findings)?;
        if !raws.is_empty() {
            channels.push(Channel { raws, ..Channel::intervals(&meter, direction) });
        }
    }
    if channels.is_empty() {
        return Err(SourceError::NoInterval { found: format!("{records} records without two readings of a register") });
    }
    let (source, unit) = ("ocmf".to_owned(), "kWh".to_owned());
    Ok(Decoded { source, stamp: "start", unit, channels, findings, ..Decoded::default() })
}

/// The records of a text with their lines. A payload may have line ends of its own, and they are signed.
fn records_of(text: &str) -> Result<Vec<(Place, &str)>, SourceError> {
    let mut begins: Vec<(u64, usize)> = Vec::new();
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if line.as_bytes().starts_with(START) {
            begins.push((number, offset));
        } else if begins.is_empty() && !line.trim().is_empty() {
            let what = "a line before the first record";
            return Err(SourceError::Malformed { at: Place::line(number), what });
        }
        offset += line.len();
    }
    let ends = begins.iter().skip(1).map(|(_, begin)| *begin).chain([text.len()]);
    let record = |((line, begin), end): (&(u64, usize), usize)| {
        (Place::line(*line), text.get(*begin..end).unwrap_or_default().trim_end())
    };
    Ok(begins.iter().zip(ends).map(record).collect())
}

/// The meter's number, or that of what signs for it.
fn station(record: &Record<'_>) -> String {
    let payload = record.payload();
    let named = payload.meter_serial().filter(|serial| !serial.trim().is_empty());
    named.or_else(|| payload.gateway_serial()).unwrap_or_default().trim().to_owned()
}

/// What one reading says.
struct Found {
    rank: u8,
    code: String,
    direction: Direction,
    of_session: bool,
    /// Is its clock synchronised?
    sure: bool,
    point: Point,
}

/// The energies of a record; the reason if one of them is no good reading.
fn readings(record: &Record<'_>, at: Place) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    for reading in record.payload().readings() {
        let Some(unit) = reading.unit() else { return Err("a reading without a unit".to_owned()) };
        let unit = match unit {
            ocmf::Unit::KWh => Unit::KWh,
            ocmf::Unit::Wh => Unit::Wh,
            // Resistance of the cable.
            ocmf::Unit::MilliOhm | ocmf::Unit::MicroOhm => continue,
            other => return Err(format!("a reading in {}", shown(&format!("{other:?}")))),
        };
        let Some(obis) = reading.obis() else { return Err("a reading without its register (RI)".to_owned()) };
        let register = obis.register();
        let (Some(import), Some(rank)) = (register.is_import(), rank(register)) else { continue };
        let quality = match reading.state() {
            Some(MeterState::Ok) => Quality::Measured,
            Some(MeterState::Substitute) => Quality::Substituted,
            state => return Err(format!("a reading in the meter's state {state:?}")),
        };
        if reading.error_flags().any() {
            return Err(format!("a reading with the error flags {}", shown(reading.error_flags().as_str())));
        }
        let energy = reading.value().and_then(|value| Decimal::parse(value.as_str(), '.'));
        let energy = energy.and_then(|value| Energy::of(value, unit, 0)).filter(|energy| !energy.is_negative());
        let (Some(energy), Some(time)) = (energy, reading.time()) else {
            return Err("a reading without a value or a time".to_owned());
        };
        found.push(Found {
            rank,
            code: obis.canonical(),
            direction: if import { Direction::Import } else { Direction::Export },
            of_session: register.is_transaction_scoped() == Some(true),
            sure: time.status == Some(TimeStatus::Synchronized),
            point: Point { time: time.unix_seconds(), energy, quality, at },
        });
    }
    Ok(found)
}

/// Which of several registers is a household's: what came from the mains, with the cable's loss, and of the whole life.
fn rank(register: Register) -> Option<u8> {
    match register {
        Register::TotalImportMains | Register::TotalExportMains => Some(0),
        Register::ActiveEnergyImport | Register::ActiveEnergyExport => Some(1),
        Register::TransactionImportMains | Register::TransactionExportMains => Some(2),
        Register::TotalImportDevice | Register::TotalExportDevice => Some(3),
        Register::TransactionImportDevice | Register::TransactionExportDevice => Some(4),
        _ => None,
    }
}

fn add(registers: &mut Registers, station: &str, found: Vec<Found>) {
    let mut sessions: BTreeMap<(Direction, u8, String), (bool, Session)> = BTreeMap::new();
    for Found { rank, code, direction, of_session, point, .. } in found {
        let session = sessions.entry((direction, rank, code)).or_insert_with(|| (of_session, Session::new()));
        session.1.push(point);
    }
    for ((direction, rank, code), (of_session, session)) in sessions {
        let codes = registers.entry((station.to_owned(), direction)).or_default();
        let counted = codes.entry((rank, code)).or_default();
        counted.of_session = of_session;
        counted.sessions.push(session);
    }
}

#[cfg(test)]
mod tests;
