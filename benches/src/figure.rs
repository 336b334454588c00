//! Figures that say where they come from. A reader of a table or a file can always tell a measurement from arithmetic
//! and arithmetic from a guess.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Taken on the machine the report names, or a quotient of such values.
    Measured,
    /// Follows from measured and assumed figures by arithmetic that the documentation states.
    Computed,
    /// Chosen: an option of the command, or a constant of the model.
    Assumed,
}

impl Basis {
    /// The mark behind a figure in a table.
    #[must_use]
    pub const fn mark(self) -> char {
        match self {
            Self::Measured => 'm',
            Self::Computed => 'c',
            Self::Assumed => 'a',
        }
    }
}

/// What the marks in a table mean.
pub const LEGEND: &str = "m measured   c computed   a assumed";

/// One number with its unit and its basis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Value, to nine significant digits: a file must not claim more than was measured.
    pub value: f64,
    /// Unit, as written behind the number.
    pub unit: String,
    /// Where it comes from.
    pub basis: Basis,
}

impl Figure {
    /// A figure of a basis.
    #[must_use]
    pub fn new(value: f64, unit: &str, basis: Basis) -> Self {
        Self { value: significant(value), unit: unit.to_owned(), basis }
    }

    /// Measured.
    #[must_use]
    pub fn measured(value: f64, unit: &str) -> Self {
        Self::new(value, unit, Basis::Measured)
    }

    /// Computed.
    #[must_use]
    pub fn computed(value: f64, unit: &str) -> Self {
        Self::new(value, unit, Basis::Computed)
    }

    /// Assumed.
    #[must_use]
    pub fn assumed(value: f64, unit: &str) -> Self {
        Self::new(value, unit, Basis::Assumed)
    }

    /// Number and mark, without the unit: for columns whose heading has it.
    #[must_use]
    pub fn cell(&self) -> String {
        format!("{} {}", number(self.value), self.basis.mark())
    }
}

impl fmt::Display for Figure {
    /// Number, unit, mark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.unit.is_empty() { "" } else { " " };
        write!(f, "{}{space}{} {}", number(self.value), self.unit, self.basis.mark())
    }
}

fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    // Through text, so that the decimal is the shortest one and reads back as the same number.
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// A number as people write it: thousands apart, about three significant decimals.
#[must_use]
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let places = match magnitude {
        m if m == 0.0 || (m >= 1000.0) => 0,
        m if m >= 100.0 => 1,
        m if m >= 10.0 => 2,
        m if m >= 0.1 => 3,
        m if m >= 0.001 => 5,
        _ => 7,
    };
    // Whole numbers are counts: no decimals.
    let places = if value.fract() == 0.0 { 0 } else { places };
    let text = format!("{magnitude:.places$}");
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Every number of a JSON report that is not inside a figure, by its path. A report is complete when this is empty.
///
/// Left out are the coordinates of a shape (object `shape`): they name what was measured and are no figures.
#[must_use]
pub fn unlabelled(json: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(json, "$", &mut found);
    found
}

fn walk(json: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Number(_) => found.push(path.to_owned()),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| walk(item, &format!("{path}[{i}]"), found))
        }
        serde_json::Value::Object(fields) => {
            let basis = fields.get("basis").and_then(serde_json::Value::as_str);
            let labelled = matches!(basis, Some("measured" | "computed" | "assumed"))
                && fields.get("unit").is_some_and(serde_json::Value::is_string);
            for (name, value) in fields {
                if !(labelled && name == "value" && value.is_number()) && name != "shape" {
                    walk(value, &format!("{path}.{name}"), found);
                }
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
            (12.345_6, "12.35"),
            (0.123_46, "0.123"),
            (-4321.6, "-4,322"),
            (0.004_2, "0.00420"),
            (7.0, "7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(Figure::computed(0.5, "s").to_string(), "0.500 s c");
    }

    #[test]
    fn figures_read_back_as_they_were_written() {
        for value in [0.0, 1.0 / 3.0, 701_341_696.0, 6.62e-9, 123_456_789_012.0] {
            let figure = Figure::measured(value, "x");
            assert_eq!(serde_json::from_str::<Figure>(&serde_json::to_string(&figure).unwrap()).unwrap(), figure);
            assert!(value == 0.0 || (figure.value / value - 1.0).abs() < 1e-8);
        }
    }

    #[test]
    fn a_number_without_a_label_is_found() {
        let json = serde_json::json!({
            "good": Figure::assumed(1.0, "s"),
            "shape": { "members": 4 },
            "bad": [{ "value": 1, "unit": "s" }, { "value": 2, "unit": "s", "basis": "guessed" }, 3],
        });
        assert_eq!(unlabelled(&json), ["$.bad[0].value", "$.bad[1].value", "$.bad[2]"]);
    }
}
