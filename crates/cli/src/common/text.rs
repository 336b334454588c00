//! Numbers and tables for people: aligned, with units, without loss where a loss would matter.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use gridveil_protocol::units::{Nano, Wh};
use jiff::{Timestamp, tz::TimeZone};

/// An error and its causes on one line. A cause that the error says itself is not said twice.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    gridveil_meter_client::cli::one_line(error.as_ref())
}

/// Writes to standard output; a reader that has gone away is not an error.
///
/// # Errors
/// Any other failure to write.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Message of a JSON error without its position.
#[must_use]
pub fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.clone(), |end| text.get(..end).unwrap_or(&text).to_owned())
}

/// `1,234,567`.
#[must_use]
pub fn grouped(x: i128) -> String {
    let digits = x.unsigned_abs().to_string();
    let mut out = String::from(if x < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Energy in kWh with three decimals: exact.
#[must_use]
pub fn kwh(energy: Wh) -> String {
    format!("{}.{:03}", grouped(i128::from(energy.0 / 1000)), energy.0 % 1000)
}

/// Money in currency units, rounded half away from zero to two decimals. For tables only; files carry nano-currency.
#[must_use]
pub fn money(nano: Nano) -> String {
    let cents = (nano.0.unsigned_abs() + 5_000_000) / 10_000_000;
    let sign = if nano < Nano::ZERO && cents > 0 { "-" } else { "" };
    let whole = i128::try_from(cents / 100).unwrap_or(i128::MAX);
    format!("{sign}{}.{:02}", grouped(whole), cents % 100)
}

/// A time by a clock in `zone`, to the minute; the number where it is no date.
#[must_use]
pub fn local(unix_s: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(unix_s).ok().and_then(|s| Timestamp::from_second(s).ok());
    let local = time.map(|time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string());
    local.unwrap_or_else(|| unix_s.to_string())
}

/// A time, to the minute, UTC.
#[must_use]
pub fn time(unix_s: u64) -> String {
    format!("{} UTC", local(unix_s, &TimeZone::UTC))
}

/// `part` of `whole` in percent with one decimal, `-` if the whole is zero.
#[must_use]
pub fn percent(part: Wh, whole: Wh) -> String {
    if whole == Wh::ZERO {
        return "-".into();
    }
    let permille = (u128::from(part) * 2000 + u128::from(whole)) / (2 * u128::from(whole));
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A table with the first column left and the others right aligned.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.to_vec());
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if i == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(-999), "-999");
        assert_eq!(kwh(Wh(7_126_734)), "7,126.734");
        assert_eq!(money(Nano(-1_234_567_890_123)), "-1,234.57");
        assert_eq!(money(Nano(-4_000_000)), "0.00");
        assert_eq!(percent(Wh(1), Wh(3)), "33.3 %");
        assert_eq!(percent(Wh::ZERO, Wh::ZERO), "-");
    }

    #[test]
    fn errors_take_one_line() {
        let error = anyhow::anyhow!("second\nline").context("first");
        assert_eq!(one_line(&error), "first: second line");
        let told = anyhow::anyhow!("no such file").context("home.csv: no such file").context("cannot read");
        assert_eq!(one_line(&told), "cannot read: home.csv: no such file");
    }
}
