//! XLSX: sheets of the portals that give no CSV file. A sheet becomes the rows that it would be as CSV, and is read by the
//! same profiles. A number is what the sheet's shortest decimal says; a date is written year first.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use calamine::{Data, Reader as _, Xlsx};

use crate::{Choice, MAX_COLUMNS, MAX_READINGS, Place, SourceError, csv, model::Decoded};

/// Largest file, bytes: a year of quarter hours has two million.
const MAX_BYTES: usize = 16 << 20;
/// Largest contents, bytes, as the archive's directory declares them.
const MAX_CONTENTS: u64 = 512 << 20;
/// Most sheets that are looked at.
const MAX_SHEETS: usize = 16;

/// The cells of a sheet that have something in them, by row and column, both from zero.
type Cells = BTreeMap<u32, BTreeMap<u32, String>>;

/// Reads the first sheet whose columns are known.
///
/// # Errors
/// [`SourceError`]: of the first sheet, if no sheet can be read.
pub fn decode(bytes: &[u8], choice: &Choice) -> Result<Decoded, SourceError> {
    if bytes.len() > MAX_BYTES || declared(bytes) > MAX_CONTENTS {
        return Err(SourceError::TooLarge);
    }
    // The library panics on a position that no sheet has, such as row 99999999999: such a file is damaged.
    let sheets = catch_unwind(AssertUnwindSafe(|| sheets(bytes))).unwrap_or_else(|_| Err(not_read()))?;
    let mut first_error = None;
    for cells in sheets.iter().filter(|cells| !cells.is_empty()) {
        match csv::decode(&text(cells), choice) {
            Ok(decoded) => return Ok(decoded),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| SourceError::Empty("no sheet has cells".to_owned())))
}

fn not_read() -> SourceError {
    SourceError::NotRead("no XLSX workbook, or a damaged one, or one with a password: save it as CSV".to_owned())
}

fn sheets(bytes: &[u8]) -> Result<Vec<Cells>, SourceError> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| not_read())?;
    book.sheet_names().iter().take(MAX_SHEETS).map(|name| cells(&mut book, name)).collect()
}

/// Cell by cell: the library's own table reserves all that lies between the first and the last cell, which a file of a
/// kilobyte can make seventeen thousand million.
fn cells(book: &mut Xlsx<Cursor<&[u8]>>, name: &str) -> Result<Cells, SourceError> {
    let mut reader = book.worksheet_cells_reader(name).map_err(|_| not_read())?;
    let mut cells = Cells::new();
    while let Some(found) = reader.next_cell().map_err(|_| not_read())? {
        let (row, column) = found.get_position();
        let at = Place::line(u64::from(row) + 1);
        let value = cell(&Data::from(found.get_value().clone()));
        if value.is_empty() {
            continue;
        }
        if row as usize >= MAX_READINGS {
            return Err(SourceError::TooManyReadings { at });
        }
        if column as usize >= MAX_COLUMNS {
            return Err(SourceError::Malformed { at, what: "a cell beyond the columns that a meter's sheet may have" });
        }
        match cells.entry(row).or_default().entry(column) {
            Entry::Vacant(free) => drop(free.insert(value)),
            Entry::Occupied(_) => return Err(SourceError::Malformed { at, what: "a cell that the sheet has twice" }),
        }
    }
    Ok(cells)
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

/// The sheet as a file of columns; its line numbers are those of the sheet.
fn text(cells: &Cells) -> String {
    let columns = || cells.values().flat_map(BTreeMap::keys).copied();
    let (first, last) = (columns().min().unwrap_or(0), columns().max().unwrap_or(0));
    let mut out = String::new();
    let mut line = 0;
    for (row, values) in cells {
        out.push_str(&"\n".repeat((row - line) as usize));
        if first == last {
            // The lines of a CSV file, pasted into one column.
            out.extend(values.values().map(String::as_str));
        } else {
            let quoted =
                |column| format!("\"{}\"", values.get(&column).map_or("", String::as_str).replace('"', "\"\""));
            out.push_str(&(first..=last).map(quoted).collect::<Vec<_>>().join(";"));
        }
        out.push('\n');
        line = row + 1;
    }
    out
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
    use std::io::{Read as _, Write as _};

    use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

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

    /// The workbook with another text in the place of one of its sheet.
    fn with(old: &str, new: &str) -> Vec<u8> {
        let mut from = ZipArchive::new(Cursor::new(include_bytes!("../../tests/data/quarters.xlsx"))).unwrap();
        let mut to = ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..from.len() {
            let mut entry = from.by_index(index).unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let name = entry.name().unwrap().into_owned();
            to.start_file(&name, SimpleFileOptions::default()).unwrap();
            let sheet = name.ends_with("sheet1.xml");
            assert!(!sheet || content.contains(old), "{old}");
            let content = if sheet { content.replace(old, new) } else { content };
            to.write_all(content.as_bytes()).unwrap();
        }
        to.finish().unwrap().into_inner()
    }

    #[test]
    fn positions_that_no_sheet_has_are_refused() {
        assert!(of(&with("r=\"A4\"", "r=\"A4\"")).is_ok());
        let damaged = |bytes: &[u8]| assert!(matches!(of(bytes), Err(SourceError::NotRead(_))));
        // More than 32 bits: as a row, as a column, as the sheet's size, as a size that ends before it begins.
        damaged(&with("r=\"A4\"", "r=\"A99999999999\""));
        damaged(&with("r=\"A4\"", "r=\"ZZZZZZZ4\""));
        damaged(&with("<sheetData>", "<dimension ref=\"A1:C99999999999\"/><sheetData>"));
        damaged(&with("<sheetData>", "<dimension ref=\"C9:A1\"/><sheetData>"));
        // A table of everything between its corners would take more memory than there is.
        let far = of(&with("r=\"E5\"", "r=\"XFD1048576\""));
        assert_eq!(far, Err(SourceError::TooManyReadings { at: Place::line(1_048_576) }));
        let wide = of(&with("r=\"E5\"", "r=\"XFD5\""));
        assert!(matches!(wide, Err(SourceError::Malformed { at, .. }) if at == Place::line(5)), "{wide:?}");
    }

    #[test]
    fn a_cell_that_stands_there_twice_is_refused() {
        let twice = of(&with("r=\"D4\"", "r=\"C4\""));
        assert!(matches!(twice, Err(SourceError::Malformed { at, .. }) if at == Place::line(4)), "{twice:?}");
    }
}
