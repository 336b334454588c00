//! What a German meter sends: a file of three messages (SML 1.04), in a frame of version 1.

use anyhow::Context as _;
use crc::{CRC_16_IBM_SDLC, Crc};

/// Of each message and, by `sml-rs`, of the frame.
const X25: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);
/// A device's number (DIN 43863-5): electricity, a maker that there is not.
const SERVER: [u8; 10] = [0x0a, 0x01, b'G', b'R', b'V', 0, 0, 0, 0, 1];
/// Of a value: an unsigned number of 8 bytes, in tenths of a Wh.
const WATT_HOURS: u8 = 30;
const TENTHS: u8 = 0xff;

/// The frame of a meter that has run for `seconds`, with its registers 1.8.0 and 2.8.0.
///
/// # Errors
/// Registers that no meter has.
pub(super) fn frame(seconds: u32, registers_wh: [u64; 2]) -> anyhow::Result<Vec<u8>> {
    let mut list = vec![0x77, 0x01, 0x0b];
    list.extend(SERVER);
    list.extend([0x01, 0x72, 0x62, 0x01, 0x65]);
    list.extend(seconds.to_be_bytes());
    list.push(0x72);
    for (side, wh) in (1u8..).zip(registers_wh) {
        list.extend([0x77, 0x07, 1, 0, side, 8, 0, 255, 0x01, 0x01, 0x62, WATT_HOURS, 0x52, TENTHS, 0x69]);
        list.extend(wh.checked_mul(10).context("no register is so high")?.to_be_bytes());
        list.push(0x01);
    }
    list.extend([0x01, 0x01]);
    let opened = [0x76, 0x01, 0x01, 0x02, 0x31, 0x02, 0x32, 0x01, 0x01];
    let messages = [message(1, 0x01, &opened), message(2, 0x07, &list), message(3, 0x02, &[0x71, 0x01])];
    sml_rs::transport::encode::<Vec<u8>>(&messages.concat()).map_err(|_| anyhow::anyhow!("no room for a frame"))
}

/// A response by its number and kind.
fn message(number: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut all = vec![0x76, 0x02, number, 0x62, 0, 0x62, 0, 0x72, 0x63, kind, 0x01];
    all.extend(body);
    let checksum = X25.checksum(&all).to_le_bytes();
    all.push(0x63);
    all.extend(checksum);
    all.push(0);
    all
}
