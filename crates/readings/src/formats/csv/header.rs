//! Where the header is, and which mapping knows its columns.

use csv::{ReaderBuilder, StringRecord};

use super::mapping::{Mapping, Names, profiles};
use crate::{Choice, MAX_COLUMNS, Place, SourceError, energy::Unit, error::shown};

/// Most lines before a header.
const MOST_LINES_BEFORE: usize = 60;
/// Separators that are looked for.
const SEPARATORS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// A file cut into header and rows.
pub struct Table {
    /// Names of the columns.
    pub header: Vec<Column>,
    /// Cells above the header, line by line.
    pub before: Vec<Vec<String>>,
    /// Separator.
    pub separator: u8,
    /// Line of the header, one-based.
    pub line: u64,
    /// Rows, with their lines.
    pub rows: Vec<(u64, StringRecord)>,
}

/// A column's name without its unit, in lower case, and the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub base: String,
    /// Unit in the name.
    pub unit: Option<Unit>,
    /// As it stands there.
    pub shown: String,
}

impl Column {
    /// `Verbrauch (kWh)`, `import_wh`, `Messwert in kWh`, `Zaehlerstand Wh`. A name that is a unit keeps it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = clean(text);
        let mut base = text.clone();
        let mut unit = None;
        for (open, close) in [('(', ')'), ('[', ']')] {
            if let Some(from) = base.rfind(open)
                && let Some(length) = base.get(from..).and_then(|rest| rest.find(close))
                && let Some(found) = base.get(from + 1..from + length).and_then(Unit::parse)
            {
                unit = unit.or(Some(found));
                base.replace_range(from..=from + length, "");
            }
        }
        if unit.is_none() {
            let (start, last) = base.rsplit_once([' ', '_']).unwrap_or(("", &base));
            unit = Unit::parse(last);
            if unit.is_some() && !start.is_empty() {
                let start = start.trim_end().to_owned();
                base = start.strip_suffix(" in").map_or(start.clone(), str::to_owned);
            }
        }
        let words: Vec<&str> = base.split_whitespace().collect();
        let base = if words.is_empty() { text.clone() } else { words.join(" ") };
        Self { base: base.to_lowercase(), unit, shown: text }
    }
}

/// A cell without the marks of a spreadsheet: `="0123"`.
#[must_use]
pub fn clean(cell: &str) -> String {
    let cell = cell.trim().trim_start_matches('\u{feff}').trim();
    match cell.strip_prefix('=') {
        Some(rest) => rest.trim_matches('"').trim().to_owned(),
        None => cell.to_owned(),
    }
}

/// Does `text` match the pattern, which may have a `*` at either end?
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.to_lowercase();
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(inner), Some(_)) => text.contains(inner.trim_end_matches('*')),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}

/// The column of the first of the names that is there: its whole name, or its name without the unit.
///
/// # Errors
/// [`SourceError::Malformed`] if two columns have it.
pub fn column(header: &[Column], names: &Names, line: u64) -> Result<Option<usize>, SourceError> {
    for name in names.all() {
        let is = |column: &Column| matches(name, &column.base) || matches(name, &column.shown.to_lowercase());
        let mut found = header.iter().enumerate().filter(|(_, column)| is(column)).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (None, _) => {}
            (first, None) => return Ok(first),
            (_, Some(second)) => {
                let at = Place { line, column: second as u64 + 1 };
                return Err(SourceError::Malformed { at, what: "a second column has this name" });
            }
        }
    }
    Ok(None)
}

/// How many of the mapping's columns are there; `None` if one that is needed is not.
fn score(mapping: &Mapping, header: &[Column], line: u64) -> Result<Option<usize>, SourceError> {
    let has = |names: &Names| column(header, names, line).map(|found| found.is_some());
    let all = |list: &[Names]| list.iter().try_fold(!list.is_empty(), |so_far, names| Ok(so_far && has(names)?));
    let (start, end) = (all(&mapping.start)?, all(&mapping.end)?);
    let mut needs = true;
    for names in &mapping.needs {
        needs &= has(names)?;
    }
    let mut energies = 0;
    for energy in mapping.energy.iter().filter(|_| !mapping.day_rows) {
        energies += usize::from(has(&energy.column)?);
    }
    if mapping.day_rows {
        energies = usize::from(header.iter().filter(|c| super::rows::day_column(&c.base).is_some()).count() >= 24);
    }
    if !(start || end) || !needs || energies == 0 {
        return Ok(None);
    }
    let mut others = 0;
    for names in [&mapping.meter, &mapping.quality, &mapping.unit_column].into_iter().flatten() {
        others += usize::from(has(names)?);
    }
    let times = mapping.start.len() * usize::from(start) + mapping.end.len() * usize::from(end);
    Ok(Some(times + energies + 2 * mapping.needs.len() + others))
}

/// Finds header and mapping.
///
/// # Errors
/// [`SourceError::UnknownFormat`], [`SourceError::SeveralProfiles`], [`SourceError::NoSuchProfile`].
pub fn find(text: &str, choice: &Choice) -> Result<(Mapping, Table), SourceError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let candidates: Vec<Mapping> = match (&choice.mapping, &choice.profile) {
        (Some(mapping), _) => vec![mapping.clone()],
        (None, Some(name)) => {
            let named = profiles()?.into_iter().find(|p| p.name == *name);
            vec![named.ok_or_else(|| SourceError::NoSuchProfile(shown(name)))?]
        }
        (None, None) => profiles()?.into_iter().filter(|p| p.found).collect(),
    };
    let mut twice = None;
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate().take(MOST_LINES_BEFORE + 1) {
        let mut best: Vec<(usize, u8, &Mapping)> = Vec::new();
        for separator in SEPARATORS {
            let cells = cells(line, separator);
            if cells.len() < 2 || cells.len() > MAX_COLUMNS {
                continue;
            }
            let header: Vec<Column> = cells.iter().map(|c| Column::of(c)).collect();
            for mapping in &candidates {
                if mapping.separator.is_some_and(|s| s != char::from(separator))
                    || mapping.skip.is_some_and(|skip| skip != number)
                {
                    continue;
                }
                match score(mapping, &header, number as u64 + 1) {
                    Ok(Some(score)) => best.push((score, separator, mapping)),
                    Ok(None) => {}
                    Err(error) => twice = twice.or(Some(error)),
                }
            }
        }
        best.sort_by_key(|(score, ..)| std::cmp::Reverse(*score));
        if let Some((top, separator, mapping)) = best.first() {
            let equal: Vec<&str> = best.iter().filter(|b| b.0 == *top).map(|b| b.2.name.as_str()).collect();
            if equal.len() > 1 {
                let names = equal.join(" or --profile ");
                return Err(SourceError::SeveralProfiles { found: shown(line), names });
            }
            let table = table(text, offset, number, *separator)?;
            return Ok(((*mapping).clone(), table));
        }
        offset += line.len();
    }
    if let Some(error) = twice {
        return Err(error);
    }
    let found = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    match candidates.as_slice() {
        [only] if choice.mapping.is_some() || choice.profile.is_some() => {
            let names = |list: &[Names]| list.iter().filter_map(|n| n.all().first().cloned()).collect::<Vec<_>>();
            let energies = only.energy.iter().filter_map(|e| e.column.all().first().cloned());
            let missing = [names(&only.start), names(&only.end), names(&only.needs), energies.collect()].concat();
            Err(SourceError::Columns { missing: missing.join(", "), found: shown(found) })
        }
        _ => Err(SourceError::UnknownFormat { found: shown(found) }),
    }
}

fn cells(line: &str, separator: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    record.iter().map(clean).collect()
}

fn table(text: &str, offset: usize, number: usize, separator: u8) -> Result<Table, SourceError> {
    let (above, rest) = text.split_at_checked(offset).unwrap_or(("", text));
    let before = above.lines().map(|line| cells(line, separator)).collect();
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(rest.as_bytes());
    let mut records = reader.records();
    let first = records.next().and_then(Result::ok).unwrap_or_default();
    let header: Vec<Column> = first.iter().map(Column::of).collect();
    let mut rows = Vec::new();
    for record in records {
        let line = |p: Option<&csv::Position>| p.map_or(0, csv::Position::line) + number as u64;
        let record = record.map_err(|e| {
            let at = Place::line(line(e.position()));
            SourceError::Malformed { at, what: "a quoted field does not end" }
        })?;
        let at = Place::line(line(record.position()));
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if rows.len() == crate::MAX_READINGS {
            return Err(SourceError::TooManyReadings { at });
        }
        // A separator at the end of a line makes a field more; a value in it does not belong to any column.
        if record.iter().skip(header.len()).any(|cell| !cell.trim().is_empty()) || record.len() > MAX_COLUMNS {
            let what = "row has more fields than the header: is the decimal sign also the separator?";
            return Err(SourceError::Malformed { at, what });
        }
        rows.push((at.line, record));
    }
    Ok(Table { header, before, separator, line: number as u64 + 1, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_from_names() {
        let of = |text: &str| {
            let column = Column::of(text);
            (column.base, column.unit)
        };
        let is = |base: &str, unit| (base.to_owned(), unit);
        assert_eq!(of("Verbrauch (kWh)"), is("verbrauch", Some(Unit::KWh)));
        assert_eq!(of(" Verbrauch [Wh]"), is("verbrauch", Some(Unit::Wh)));
        assert_eq!(of("Verbrauch (kWh) - Gesamtverbrauch"), is("verbrauch - gesamtverbrauch", Some(Unit::KWh)));
        assert_eq!(of("Messwert in kWh"), is("messwert", Some(Unit::KWh)));
        assert_eq!(of("import_wh"), is("import", Some(Unit::Wh)));
        assert_eq!(of("Zaehlerstand Wh"), is("zaehlerstand", Some(Unit::Wh)));
        assert_eq!(of("Consumo registado (kW)"), is("consumo registado", Some(Unit::KW)));
        assert_eq!(of("kWh"), is("kwh", Some(Unit::KWh)));
        assert_eq!(of("Cost (p)"), is("cost (p)", None));
        assert_eq!(of("=\"Meter\""), is("meter", None));
    }

    #[test]
    fn patterns() {
        assert!(matches("Afname*", "afname dag") && matches("*Verbrauch", "at001 verbrauch") && matches("*x*", "axb"));
        assert!(!matches("Afname", "afname dag") && !matches("*Verbrauch", "verbrauch total"));
    }
}
