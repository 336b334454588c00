//! XLSX: sheets of the portals that give no CSV file. A sheet becomes the rows that it would be as CSV, and is read by the
//! same profiles. A number is what the sheet's shortest decimal says; a date is written year first.

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};

use crate::{Choice, MAX_COLUMNS, MAX_READINGS, Place, SourceError, csv, model::Decoded};

/// Largest file, bytes: a year of quarter hours has two million.
const MAX_BYTES: usize = 16 << 20;
/// Largest contents, bytes, as the archive's directory declares them.
const MAX_CONTENTS: u64 = 512 << 20;
/// Most sheets that are looked at.
const MAX_SHEETS: usize = 16;

/// Reads the first sheet whose columns are known.
///
/// # Errors
/// [`SourceError`]: of the first sheet, if no sheet can be read.
pub fn decode(bytes: &[u8], choice: &Choice) -> Result<Decoded, SourceError> {
    if bytes.len() > MAX_BYTES || declared(bytes) > MAX_CONTENTS {
        return Err(SourceError::TooLarge);
    }
    let refused = |_| SourceError::NotRead("no XLSX workbook, or one with a password: save it as CSV".to_owned());
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(refused)?;
    let mut first_error = None;
    for name in book.sheet_names().into_iter().take(MAX_SHEETS) {
        let range = book.worksheet_range(&name).map_err(refused)?;
        if range.is_empty() {
            continue;
        }
        let read = text(&range).and_then(|text| csv::decode(&text, choice));
        match read {
            Ok(decoded) => return Ok(decoded),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| SourceError::Empty("no sheet has cells".to_owned())))
}

/// Sum of the sizes that the archive's directory declares.
fn declared(bytes: &[u8]) -> u64 {
    const ENTRY: [u8; 4] = *b"PK\x01\x02";
    let sizes = bytes.windows(28).filter(|window| window.starts_with(&ENTRY)).filter_map(|window| {
        let size: [u8; 4] = window.get(24..28)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(size)))
    });
    sizes.sum()
}

fn text(range: &calamine::Range<Data>) -> Result<String, SourceError> {
    let (rows, columns) = range.get_size();
    if columns > MAX_COLUMNS || rows > MAX_READINGS {
        return Err(SourceError::TooManyReadings { at: Place::line(rows as u64) });
    }
    // Line numbers are those of the sheet.
    let above = range.start().map_or(0, |(row, _)| row as usize);
    let mut out = "\n".repeat(above);
    if columns == 1 {
        // The lines of a CSV file, pasted into one column.
        for row in range.rows() {
            out.push_str(&row.iter().map(cell).collect::<String>());
            out.push('\n');
        }
        return Ok(out);
    }
    for row in range.rows() {
        let cells: Vec<String> = row.iter().map(|data| format!("\"{}\"", cell(data).replace('"', "\"\""))).collect();
        out.push_str(&cells.join(";"));
        out.push('\n');
    }
    Ok(out)
}

fn cell(data: &Data) -> String {
    match data {
        Data::Int(number) => number.to_string(),
        // The shortest decimal that is this number: what was typed, unless it was computed.
        Data::Float(number) => number.to_string(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.replace(['\n', '\r'], " "),
        Data::Bool(value) => value.to_string(),
        Data::DateTime(time) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let clock = format!("{hour:02}:{minute:02}:{second:02}");
            match (year, clock.as_str()) {
                // Excel's zero: a time of day.
                (..=1900, _) => clock,
                (_, "00:00:00") => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {clock}"),
            }
        }
        Data::Error(_) | Data::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Import, read};

    fn of(bytes: &[u8]) -> Result<Import, SourceError> {
        read(bytes, &Choice::default())
    }

    #[test]
    fn a_sheet_is_read_by_the_profiles_of_csv() {
        let import = of(include_bytes!("../../tests/data/quarters.xlsx")).unwrap();
        assert_eq!((import.source.as_str(), import.series.length()), ("eredes", 900));
        // Mean kW of quarter hours that end at the stamp; the last one at midnight.
        assert_eq!(import.series.entries().iter().map(|e| e.import_wh).collect::<Vec<_>>(), [20, 55, 90]);
        assert_eq!(import.series.entries()[0].start, 1_750_284_900);
        assert_eq!(import.series.total_wh(), [165, 3]);
    }

    #[test]
    fn what_is_no_workbook_is_refused() {
        let whole = include_bytes!("../../tests/data/quarters.xlsx");
        assert!(matches!(of(&whole[..whole.len() / 2]), Err(SourceError::NotRead(_))));
        assert!(matches!(of(b"PK\x03\x04 nothing"), Err(SourceError::NotRead(_))));
        let mut bomb = whole.to_vec();
        for at in 0..bomb.len() - 28 {
            if bomb[at..].starts_with(b"PK\x01\x02") {
                bomb[at + 24..at + 28].copy_from_slice(&[0xff; 4]);
            }
        }
        assert_eq!(of(&bomb), Err(SourceError::TooLarge));
    }
}
