//! SML: the telegrams of German meters (eHZ and its successors), as their optical port sends them.
//!
//! Frame, checksum and structure are those of the crate `sml-rs`. Of a list the registers 1.8.x (import) and 2.8.x (export)
//! are read. A telegram says how many seconds the meter has run, not what time it is: a file of them has energies and no
//! instants, so it is refused with what it holds; a live reader knows the time.

use sml_rs::{
    parser::{
        common::{Time, Value},
        complete::{MessageBody, parse},
    },
    transport,
};

use crate::{
    Choice, SourceError,
    energy::{Decimal, Energy, Unit},
    model::Decoded,
};

/// Start of a frame.
pub const START: [u8; 8] = [0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1];
/// SML's number of the unit Wh.
const WATT_HOURS: u8 = 30;

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

/// Telegrams of a capture, and how many frames were left out: cut, changed, or not SML.
#[must_use]
pub fn telegrams(bytes: &[u8]) -> (Vec<Telegram>, usize) {
    let (mut found, mut bad) = (Vec::new(), 0);
    for frame in transport::decode(bytes.iter()) {
        match frame.ok().as_deref().and_then(telegram) {
            Some(telegram) => found.push(telegram),
            None => bad += 1,
        }
    }
    (found, bad)
}

/// The list of one frame.
#[must_use]
pub fn telegram(frame: &[u8]) -> Option<Telegram> {
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

/// A capture has no instants: refused, with what it holds.
///
/// # Errors
/// [`SourceError::NoInterval`]; [`SourceError::NotRead`] where no telegram holds.
pub fn decode(bytes: &[u8], _: &Choice) -> Result<Decoded, SourceError> {
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
    let mut seconds: Vec<u32> = telegrams.iter().filter_map(|t| t.seconds).collect();
    seconds.sort_unstable();
    let over = match (seconds.first(), seconds.last()) {
        (Some(first), Some(last)) => format!(" over {} s of its running time", last - first),
        _ => String::new(),
    };
    let left_out = if bad > 0 { format!(", {bad} frames left out") } else { String::new() };
    let found = format!(
        "a capture of SML: {} telegrams{over} with {registers}{left_out}, without the time of day",
        telegrams.len()
    );
    Err(SourceError::NoInterval { found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    /// A list of one register as a meter sends it, framed by the crate's own writer.
    fn frame(side: u8, tariff: u8, value: u32, scaler: i8) -> Vec<u8> {
        let open = [
            0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x01, 0x01, 0x76, 0x01, 0x01, 0x02, 0x31, 0x02, 0x32, 0x01,
            0x01,
        ];
        let mut list =
            vec![0x76, 0x02, 0x32, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01, 0x77, 0x01, 0x03, 0x0a, 0x01, 0x01];
        list.extend([0x72, 0x62, 0x01, 0x65, 0, 0, 0x10, 0]);
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
        transport::encode::<Vec<u8>>(&file).unwrap()
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
            matches!(&error, SourceError::NoInterval { found } if found.contains("2 telegrams") && found.contains("1.8"))
        );
        assert!(!error.to_string().contains("7777"));
        assert!(matches!(read(&START.repeat(3), &Choice::default()), Err(SourceError::NotRead(_))));
    }
}
