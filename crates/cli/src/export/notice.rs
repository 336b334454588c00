//! What only the operator can say: who it is, why it processes, on which basis, for how long, and to whom it discloses
//! (GDPR, articles 13 to 15). A file of its own, which goes into the export as it is (`docs/gdpr/notice.toml`).

use std::path::Path;

use anyhow::{Context as _, ensure};
use gridveil_meter_client::cli::defaults::own_text;
use serde::Deserialize;

/// Largest notice, bytes.
const MOST_BYTES: u64 = 64 << 10;
/// What the template has where something is to be filled in.
const BLANK: &str = "FILL IN";

/// The operator's own words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Name and address of the controller.
    pub controller: String,
    /// How it is reached.
    pub contact: String,
    /// Its data protection officer, if it has one.
    #[serde(default)]
    pub data_protection_officer: Option<String>,
    /// The supervisory authority that a complaint goes to.
    pub authority: String,
    /// Where data came from that the member did not give itself.
    pub source: String,
    /// If and how decisions are made by a program alone (article 22).
    pub automated_decisions: String,
    /// If data leaves the Union, and under which guarantees.
    pub transfers: String,
    /// Purposes.
    pub purposes: Vec<Purpose>,
    /// To whom it was or will be disclosed.
    pub recipients: Vec<Recipient>,
    /// How long which data is kept.
    pub retention: Vec<Retention>,
}

/// A purpose with its legal basis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// What for.
    pub purpose: String,
    /// Article 6.
    pub basis: String,
    /// Which data.
    pub data: String,
}

/// A recipient.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// Who.
    pub who: String,
    /// What it gets.
    pub data: String,
}

/// How long a class of data is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Which data.
    pub data: String,
    /// How long, and why.
    pub kept: String,
}

/// A notice, and its text as it is.
///
/// # Errors
/// No such file, one that others may change, no TOML of this form, or one in which something is still to be filled in.
pub fn read(path: &Path) -> anyhow::Result<(Notice, String)> {
    let name = || path.display().to_string();
    let text = own_text(path, MOST_BYTES).context("--notice")?;
    let notice = parse(&text).with_context(name)?;
    Ok((notice, text))
}

/// The same, of a text.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> anyhow::Result<Notice> {
    let blank = text.lines().zip(1..).find(|(line, _)| line.contains(BLANK) && !line.trim_start().starts_with('#'));
    if let Some((_, line)) = blank {
        anyhow::bail!("line {line}: still to be filled in ({BLANK})");
    }
    let notice: Notice = toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.message()))?;
    ensure!(!notice.purposes.is_empty(), "no purposes: every processing has one, with its legal basis");
    Ok(notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../docs/gdpr/notice.toml");

    #[test]
    fn the_template_is_refused_until_it_is_filled_in() {
        let error = parse(TEMPLATE).unwrap_err().to_string();
        assert!(error.contains("still to be filled in"), "{error}");
        let filled = parse(&TEMPLATE.replace(BLANK, "something")).unwrap();
        assert!(filled.purposes.len() >= 3 && filled.recipients.len() >= 3 && filled.retention.len() >= 3);
        let unknown = TEMPLATE.replace(BLANK, "x").replace("contact =", "phone =");
        assert!(parse(&unknown).is_err());
    }
}
