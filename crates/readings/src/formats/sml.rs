//! SML: the telegrams of German meters (eHZ and its successors), as their optical port sends them.
//!
//! Frame, checksum and structure are those of the crate `sml-rs`. Of a list the registers 1.8.x (import) and 2.8.x (export)
//! are read. A telegram says how many seconds the meter has run, not what time it is: a file of them has energies and no
//! instants, so it is refused with what it holds, unless its first telegram's time is told; a live reader knows the time
//! ([`crate::live`]).

use sml_rs::{
    parser::{
        common::{Time, Value},
        complete::{MessageBody, parse},
    },
    transport::{DecodeErr, Decoder},
    util::ArrayBuf,
};

use super::p1::{INTERVAL, Sample, channels};
use crate::{
    Choice, Finding, Place, Rule, SourceError,
    energy::{Decimal, Energy, Unit},
    model::Decoded,
    zone::utc,
};

/// Start of a frame.
pub const START: [u8; 8] = [0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1];
/// Largest frame, bytes: the longest real ones have a thousand.
const MAX_FRAME: usize = 16 << 10;
/// SML's number of the unit Wh.
const WATT_HOURS: u8 = 30;
/// Most digits that a length of SML is written with: of what fits a frame.
const LENGTH_DIGITS: usize = 5;

/// What a telegram says of energy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// Server number of the meter, in hex.
    pub meter: String,
    /// Seconds that the meter has run, if it says so.
    pub seconds: Option<u32>,
    /// Import and export registers, where the meter has them.
    pub registers: [Option<Energy>; 2],
}

/// What a stream of bytes holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A telegram whose checksums hold.
    Telegram(Telegram),
    /// A frame that was changed, or that is no list of a meter.
    Bad,
    /// A frame that another one follows before its end, or that the end of the stream cuts.
    Half,
    /// Bytes that belong to no frame.
    Garbage,
}

/// Takes bytes as they come and finds the frames.
///
/// `sml-rs` counts what stands between two frames in 16 bits, and panics where that is not enough. So it is given frames
/// alone, from their start on.
#[derive(Default)]
pub struct Frames {
    decoder: Decoder<ArrayBuf<MAX_FRAME>>,
    /// Bytes of [`START`] that the last bytes are, outside a frame.
    begun: usize,
    inside: bool,
    garbage: bool,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl Frames {
    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        for byte in bytes {
            if self.inside {
                self.inner(*byte, found);
            } else {
                self.outer(*byte, found);
            }
        }
    }

    /// The stream ended here. What comes next is another one.
    pub fn end(&mut self, found: &mut Vec<Found>) {
        if self.inside {
            found.push(Found::Half);
        }
        self.decoder.reset();
        (self.begun, self.inside, self.garbage) = (0, false, false);
    }

    fn outer(&mut self, byte: u8, found: &mut Vec<Found>) {
        if START.get(self.begun) == Some(&byte) {
            self.begun += 1;
        } else {
            // Five escape bytes: the last four of them may begin a frame.
            self.begun = if byte == START[0] { if self.begun == 4 { 4 } else { 1 } } else { 0 };
            if !self.garbage {
                found.push(Found::Garbage);
            }
            self.garbage = true;
        }
        if self.begun == START.len() {
            self.decoder.reset();
            for byte in START {
                // A start alone is neither a frame nor a fault.
                let _ = self.decoder.push_byte(byte);
            }
            (self.begun, self.inside, self.garbage) = (0, true, false);
        }
    }

    fn inner(&mut self, byte: u8, found: &mut Vec<Found>) {
        match self.decoder.push_byte(byte) {
            Ok(None) => {}
            Ok(Some(frame)) => {
                found.push(telegram(frame).map_or(Found::Bad, Found::Telegram));
                self.inside = false;
            }
            // Another frame has begun inside this one.
            Err(DecodeErr::DiscardedBytes(_)) => found.push(Found::Half),
            Err(DecodeErr::InvalidEsc(_) | DecodeErr::OutOfMemory | DecodeErr::InvalidMessage { .. }) => {
                found.push(Found::Bad);
                self.inside = false;
            }
        }
    }
}

/// Telegrams of a capture, and how many frames were left out: cut, changed, or not SML.
#[must_use]
pub fn telegrams(bytes: &[u8]) -> (Vec<Telegram>, usize) {
    let (mut frames, mut all) = (Box::<Frames>::default(), Vec::new());
    frames.push(bytes, &mut all);
    frames.end(&mut all);
    let (mut found, mut bad) = (Vec::new(), 0);
    for one in all {
        match one {
            Found::Telegram(telegram) => found.push(telegram),
            Found::Bad | Found::Half | Found::Garbage => bad += 1,
        }
    }
    (found, bad)
}

/// Is every length of a frame one that fits into it? `sml-rs` makes room for as many entries as a list says it has.
fn lengths_fit(frame: &[u8]) -> bool {
    let mut rest = frame;
    while let Some((first, after)) = rest.split_first() {
        let (kind, mut more, mut length) = (first >> 4 & 7, first & 0x80 != 0, usize::from(first & 15));
        rest = after;
        let mut digits = 1;
        while more {
            let Some((next, after)) = rest.split_first() else { return false };
            (more, length, digits, rest) = (next & 0x80 != 0, length << 4 | usize::from(next & 15), digits + 1, after);
            if digits > LENGTH_DIGITS {
                return false;
            }
        }
        // A list's length counts its entries, any other the bytes, those of the length with them.
        let skip = if kind == 7 { 0 } else { length.saturating_sub(digits) };
        if length > rest.len() + digits {
            return false;
        }
        rest = rest.get(skip..).unwrap_or_default();
    }
    true
}

/// The list of one frame.
#[must_use]
pub fn telegram(frame: &[u8]) -> Option<Telegram> {
    if !lengths_fit(frame) {
        return None;
    }
    let file = parse(frame).ok()?;
    let list = file.messages.iter().find_map(|message| match &message.message_body {
        MessageBody::GetListResponse(list) => Some(list),
        _ => None,
    })?;
    let mut registers = [[None::<Energy>; 2]; 2];
    let mut seconds = match &list.act_sensor_time {
        Some(Time::SecIndex(seconds)) => Some(*seconds),
        _ => None,
    };
    for entry in &list.val_list {
        let [1, 0, side @ 1..=2, 8, tariff, 255] = entry.obj_name else { continue };
        let value = match entry.value {
            Value::I8(v) => i64::from(v),
            Value::I16(v) => i64::from(v),
            Value::I32(v) => i64::from(v),
            Value::I64(v) => v,
            Value::U8(v) => i64::from(v),
            Value::U16(v) => i64::from(v),
            Value::U32(v) => i64::from(v),
            Value::U64(v) => i64::try_from(v).ok()?,
            Value::Bool(_) | Value::Bytes(_) | Value::List(_) => continue,
        };
        if entry.unit.is_some_and(|unit| unit != WATT_HOURS) {
            continue;
        }
        let number = Decimal::whole(value).shifted(i64::from(entry.scaler.unwrap_or(0)))?;
        let energy = Energy::of(number, Unit::Wh, 0)?;
        let [total, tariffs] = registers.get_mut(usize::from(*side) - 1)?;
        if *tariff == 0 {
            *total = Some(energy);
        } else {
            *tariffs = Some(tariffs.unwrap_or_default() + energy);
        }
        if let (None, Some(Time::SecIndex(of_value))) = (seconds, &entry.val_time) {
            seconds = Some(*of_value);
        }
    }
    let registers = registers.map(|[total, tariffs]| total.or(tariffs));
    let meter = list.server_id.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Telegram { meter, seconds, registers })
}

/// A capture has no instants: refused, with what it holds, unless [`Choice::starts`] says when its first telegram was sent.
///
/// # Errors
/// [`SourceError::NoStart`]; [`SourceError::NotRead`] where no telegram holds, or the running time does not tell when one
/// was sent.
pub fn decode(bytes: &[u8], choice: &Choice) -> Result<Decoded, SourceError> {
    let (telegrams, bad) = telegrams(bytes);
    let with = |side: usize| telegrams.iter().any(|t| t.registers.get(side).is_some_and(Option::is_some));
    let registers = match (with(0), with(1)) {
        (true, true) => "registers 1.8 and 2.8",
        (true, false) => "register 1.8",
        (false, true) => "register 2.8",
        (false, false) if telegrams.is_empty() => {
            let what =
                format!("a capture of SML in which none of {bad} frames holds: cut, changed, or no standard SML");
            return Err(SourceError::NotRead(what));
        }
        (false, false) => "no register of energy",
    };
    if let Some(starts) = choice.starts {
        return timed(&telegrams, bad, starts, choice);
    }
    let mut seconds: Vec<u32> = telegrams.iter().filter_map(|t| t.seconds).collect();
    seconds.sort_unstable();
    let over = match (seconds.first(), seconds.last()) {
        (Some(first), Some(last)) => format!(" over {} s of its running time", last - first),
        _ => String::new(),
    };
    let left_out = if bad > 0 { format!(", {bad} frames left out") } else { String::new() };
    let found = format!("a capture of SML: {} telegrams{over} with {registers}{left_out}", telegrams.len());
    Err(SourceError::NoStart { found })
}

/// With the time of the first telegram, the running time gives that of the others.
fn timed(telegrams: &[Telegram], bad: usize, starts: i64, choice: &Choice) -> Result<Decoded, SourceError> {
    let mut decoded = Decoded { source: "sml".into(), stamp: "end", unit: "Wh".into(), ..Decoded::default() };
    let mut meters: Vec<(&str, Vec<Sample>)> = Vec::new();
    let (mut first, mut before) = (None, None);
    for (number, telegram) in (1..).zip(telegrams) {
        let at = Place::line(number);
        let seconds = telegram.seconds.ok_or_else(|| {
            let what = "does not say how long the meter has run, so --starts does not tell when it was sent";
            SourceError::NotRead(format!("telegram {number} {what}: read the meter live"))
        })?;
        if before.is_some_and(|before| seconds < before) {
            let what = "the meter's running time begins anew, and nothing tells how long it stood still";
            return Err(SourceError::NotRead(format!("telegram {number}: {what}: read the meter live")));
        }
        before = Some(seconds);
        let time = starts + i64::from(seconds - *first.get_or_insert(seconds));
        let sample = Sample { time, registers: telegram.registers, at };
        match meters.iter_mut().find(|(meter, _)| *meter == telegram.meter) {
            Some((_, samples)) => samples.push(sample),
            None => meters.push((&telegram.meter, vec![sample])),
        }
    }
    for (meter, samples) in meters {
        match channels(meter, &samples, choice.length.unwrap_or(INTERVAL), "telegram") {
            Ok(channels) => decoded.channels.extend(channels),
            Err(error) => decoded.refused.push((meter.to_owned(), error)),
        }
    }
    if bad > 0 {
        let finding = Finding::file(Rule::BadTelegram, "frames that were cut or changed");
        decoded.findings.push(Finding { count: bad as u64, ..finding });
    }
    let told = format!("the first telegram at {}, as was told", utc(starts));
    decoded.findings.push(Finding::file(Rule::StartTold, told));
    Ok(decoded)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::read;

    fn frame(side: u8, tariff: u8, value: u32, scaler: i8) -> Vec<u8> {
        frame_at(0x1000, side, tariff, value, scaler)
    }

    /// A list of one register as a meter sends it, framed by the crate's own writer.
    pub(crate) fn frame_at(seconds: u32, side: u8, tariff: u8, value: u32, scaler: i8) -> Vec<u8> {
        let open = [
            0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x01, 0x01, 0x76, 0x01, 0x01, 0x02, 0x31, 0x02, 0x32, 0x01,
            0x01,
        ];
        let mut list =
            vec![0x76, 0x02, 0x32, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01, 0x77, 0x01, 0x03, 0x0a, 0x01, 0x01];
        list.extend([0x72, 0x62, 0x01, 0x65]);
        list.extend(seconds.to_be_bytes());
        list.extend([
            0x71,
            0x77,
            0x07,
            1,
            0,
            side,
            8,
            tariff,
            255,
            0x01,
            0x01,
            0x62,
            30,
            0x52,
            scaler.to_be_bytes()[0],
            0x65,
        ]);
        list.extend(value.to_be_bytes());
        list.extend([0x01, 0x01, 0x01]);
        let close = vec![0x76, 0x02, 0x33, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x02, 0x01, 0x71, 0x01];
        let mut file = Vec::new();
        for message in [open.to_vec(), list, close] {
            let crc = x25(&message);
            file.extend(message);
            file.extend([0x63, crc.to_be_bytes()[0], crc.to_be_bytes()[1], 0x00]);
        }
        sml_rs::transport::encode::<Vec<u8>>(&file).unwrap()
    }

    /// CRC-16/X.25, its bytes in the order of the meter.
    fn x25(bytes: &[u8]) -> u16 {
        let crc = bytes.iter().fold(0xffff_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 })
        });
        (!crc).swap_bytes()
    }

    #[test]
    fn registers_are_read_with_their_scale() {
        let (found, bad) = telegrams(&[frame(1, 0, 123_456, -1), frame(2, 0, 99, 0)].concat());
        assert_eq!((found.len(), bad), (2, 0));
        assert_eq!((found[0].registers[0].map(Energy::floor_tenth_wh), found[0].seconds), (Some(123_456), Some(4096)));
        assert_eq!((found[1].registers, found[1].meter.as_str()), ([None, Some(Energy::wh(99))], "0a01"));
    }

    #[test]
    fn a_changed_frame_is_left_out() {
        let mut bytes = [frame(1, 0, 5, 0), frame(1, 0, 7, 0)].concat();
        bytes[60] ^= 1;
        let (found, bad) = telegrams(&bytes);
        assert_eq!((found.len(), bad), (1, 1));
        bytes.truncate(40);
        assert!(telegrams(&bytes).0.is_empty());
    }

    #[test]
    fn a_capture_says_why_it_is_no_series() {
        let error = read(&[frame(1, 1, 77_777, 0), frame(1, 1, 77_778, 0)].concat(), &Choice::default()).unwrap_err();
        assert!(
            matches!(&error, SourceError::NoStart { found } if found.contains("2 telegrams") && found.contains("1.8"))
        );
        assert!(!error.to_string().contains("7777"));
        assert!(matches!(read(&START.repeat(3), &Choice::default()), Err(SourceError::NotRead(_))));
    }

    #[test]
    fn a_told_start_gives_the_others_their_times() {
        let at = |s: u32, wh: u32| frame_at(5_000 + s, 1, 0, wh, 0);
        let bytes = [at(0, 100), at(2, 100), at(900, 150), at(1_802, 170)].concat();
        let choice = Choice { starts: Some(1_800_000_000), ..Choice::default() };
        let import = read(&bytes, &choice).unwrap();
        let wh: Vec<_> = import.series.entries().iter().map(|e| (e.start, e.import_wh)).collect();
        assert_eq!(wh, [(1_800_000_000, 50), (1_800_000_900, 20)]);
        assert!(import.findings.iter().any(|f| f.rule == Rule::StartTold));
        // The meter stood still for nobody knows how long.
        let again = [at(900, 150), at(3, 150)].concat();
        assert!(matches!(read(&again, &choice), Err(SourceError::NotRead(why)) if why.contains("anew")));
    }

    #[test]
    fn much_garbage_between_two_frames_is_passed_over() {
        let garbage = vec![0x55; 70_000];
        let (found, bad) = telegrams(&[&garbage[..], &frame(1, 0, 5, 0), &garbage, &frame(1, 0, 6, 0)].concat());
        assert_eq!((found.len(), bad), (2, 2));
        // An escape byte too many before the start.
        assert_eq!(telegrams(&[&[0x1b][..], &frame(1, 0, 5, 0)].concat()).0.len(), 1);
    }

    /// A list that says it has four thousand million entries: there is no room for them, and none is made.
    #[test]
    fn a_list_says_no_more_than_its_frame_holds() {
        let mut message =
            vec![0x76, 0x02, 0x32, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01, 0x77, 0x01, 0x03, 0x0a, 1, 0x01];
        message.extend([0x72, 0x62, 0x01, 0x65, 0, 0, 0, 1]);
        message.extend([0xff, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x0f]);
        let bytes = sml_rs::transport::encode::<Vec<u8>>(&message).unwrap();
        assert_eq!(telegrams(&bytes), (vec![], 1));
        assert!(lengths_fit(&[0x80, 0x04, 0, 0]) && !lengths_fit(&[0x80, 0x04]) && !lengths_fit(&[0x05, 0]));
    }
}
