//! Numbers of the cells.

use super::rows::Reader;
use crate::{Place, SourceError, energy::Decimal, error::shown};

impl Reader<'_> {
    /// The decimal sign of the values: the one that is there. Both, or one that may as well group thousands, is refused.
    pub(super) fn decimal_sign(&self) -> Result<char, SourceError> {
        if let Some(sign) = self.mapping.decimal {
            return Ok(sign);
        }
        let columns: Vec<usize> = if self.mapping.day_rows {
            (0..self.table.header.len()).filter(|i| !self.times.contains(i)).collect()
        } else {
            self.values.iter().map(|v| v.index).collect()
        };
        let (mut comma, mut point, mut sure) = (None, None, self.table.separator != b',');
        for (line, record) in &self.table.rows {
            for index in &columns {
                let cell = record.get(*index).unwrap_or("").trim();
                let at = Place { line: *line, column: *index as u64 + 1 };
                if cell.contains(',') {
                    comma = comma.or(Some((at, cell)));
                    sure |= !grouped(cell);
                }
                if cell.contains('.') {
                    point = point.or(Some((at, cell)));
                }
            }
        }
        match (comma, point) {
            (Some((at, cell)), Some(_)) => Err(SourceError::Cell {
                at,
                found: shown(cell),
                expected: "a number: the file has , and . in its numbers",
            }),
            (Some((at, cell)), None) if !sure => {
                let expected = "a number for sure: is , its decimal sign? Say decimal = \",\" in a mapping file";
                Err(SourceError::Cell { at, found: shown(cell), expected })
            }
            (Some(_), None) => Ok(','),
            _ => Ok('.'),
        }
    }

    /// A number; nothing where the file has nothing.
    pub(super) fn number(&self, cell: &str, at: Place) -> Result<Option<Decimal>, SourceError> {
        if matches!(cell.to_lowercase().as_str(), "" | "-" | "null" | "n/a" | "na" | "nan") {
            return Ok(None);
        }
        let refused = || SourceError::Cell { at, found: shown(cell), expected: "a number" };
        Decimal::parse(cell, self.decimal).map(Some).ok_or_else(refused)
    }
}

/// `1,234` and `12,345,678`: may as well group thousands.
fn grouped(cell: &str) -> bool {
    let mut parts = cell.trim_start_matches('-').split(',');
    let first = parts.next().unwrap_or("");
    !first.starts_with('0') && (1..=3).contains(&first.len()) && parts.all(|part| part.len() == 3)
}
