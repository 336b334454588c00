//! The formats: one decoder each, and by what a file is recognised.

pub mod csv;
pub mod green_button;
pub mod mscons;
pub mod nem12;
pub mod ocmf;
pub mod p1;
pub mod sml;
pub mod xlsx;

mod dlms;

use crate::{Choice, SourceError, model::Decoded, text};

macro_rules! formats {
    ($($(#[$doc:meta])* $format:ident, $name:literal;)*) => {
        /// Formats that can be read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format { $($(#[$doc])* $format,)* }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$format,)*];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$format => $name,)* }
            }
        }
    };
}

formats! {
    /// Columns, see [`csv`].
    Csv, "csv";
    /// ESPI Atom XML, see [`green_button`].
    GreenButton, "green-button";
    /// Interval files of Australia, see [`nem12`].
    Nem12, "nem12";
    /// Telegrams of Dutch and Belgian meters, see [`p1`].
    P1, "p1";
    /// Telegrams of German meters, see [`sml`].
    Sml, "sml";
    /// Sheets, read by the profiles of CSV, see [`xlsx`].
    Xlsx, "xlsx";
    /// EDIFACT messages of network operators, see [`mscons`].
    Mscons, "mscons";
    /// Signed records of charging stations, see [`ocmf`].
    Ocmf, "ocmf";
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|f| f.name()).collect();
        let found = Self::ALL.iter().copied().find(|format| format.name() == text);
        found.ok_or_else(|| format!("one of {}", names.join(", ")))
    }
}

/// Decodes a file by its format, named or recognised.
///
/// # Errors
/// [`SourceError`].
pub fn decode(bytes: &[u8], choice: &Choice) -> Result<Decoded, SourceError> {
    if let (None, Some(refusal)) = (choice.format, dlms::refusal(bytes)) {
        return Err(refusal);
    }
    let format = choice.format.unwrap_or_else(|| guess(bytes));
    let encoding = choice.mapping.as_ref().and_then(|m| m.encoding.as_deref());
    let text = || text::decode(bytes, encoding);
    match format {
        Format::Csv => csv::decode(&text()?, choice),
        Format::GreenButton => green_button::decode(&text()?, choice),
        Format::Nem12 => nem12::decode(&text()?, choice),
        Format::P1 => p1::decode(bytes, choice),
        Format::Sml => sml::decode(bytes, choice),
        Format::Mscons => mscons::decode(&text()?, choice),
        Format::Ocmf => ocmf::decode(&text()?, choice),
        Format::Xlsx => xlsx::decode(bytes, choice),
    }
}

fn guess(bytes: &[u8]) -> Format {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or(bytes);
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = head {
        // UTF-16: by its first characters. What is read from bytes is never written so.
        let found = encoding_rs::Encoding::for_bom(head).map(|(utf_16, _)| guess(utf_16.decode(head).0.as_bytes()));
        let text = |format: &Format| !matches!(format, Format::Xlsx | Format::Sml | Format::P1);
        return found.filter(text).unwrap_or(Format::Csv);
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = head.iter().position(|b| !b.is_ascii_whitespace()).and_then(|at| head.get(at..)).unwrap_or(&[]);
    // A capture begins anywhere, also in the middle of a telegram.
    let holds = |sign: &[u8]| bytes.windows(sign.len()).any(|window| window == sign);
    match first {
        [b'P', b'K', 3, 4, ..] => Format::Xlsx,
        _ if holds(&sml::START) => Format::Sml,
        _ if first.starts_with(ocmf::START) => Format::Ocmf,
        [b'/', ..] if holds(b"\n!") => Format::P1,
        [b'<', ..] => Format::GreenButton,
        [b'U', b'N', b'A' | b'B', ..] => Format::Mscons,
        [b'1', b'0', b'0', b',', ..] | [b'2', b'0', b'0', b',', ..] => Format::Nem12,
        _ => Format::Csv,
    }
}
