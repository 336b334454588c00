//! What is in an entry, and how it is sealed against a thief of the disk.
//!
//! An entry has who by a pseudonym, what by the endpoint and the place it is about, and what became of it. It has no body,
//! no token, no reading and no name.

use gridveil_keystore::SealingKey;
use serde::{Deserialize, Serialize};

use super::format::PLAIN_BYTES;
use crate::{staff::Role, store::bodies::derived};

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is about to be carried out.
    Begun,
    /// It was.
    Done,
    /// The sequencer refused it; of a refusal before the act, it was not begun.
    Refused,
    /// The process ended before the outcome was written: it may have been carried out. The log of the sequencer knows.
    Interrupted,
}

impl Outcome {
    /// Name, as in the entry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What somebody does, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Method and path, with names for its parts: `POST /admin/v1/communities/{community}/close`.
    pub endpoint: String,
    /// Community, where the path has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community: Option<u32>,
    /// Slot, where the path has one: without it nobody could show that an erasure was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// First interval of a period, where the path has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_interval: Option<u32>,
    /// The grant that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Unix seconds.
    pub time_s: u64,
    /// The entry whose outcome this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// In which role; none where no role of theirs may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Who, by a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// What became of it.
    pub outcome: Outcome,
    /// Code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Refused tries of the same subject before, that were too many to be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unwritten: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// An act that is about to be carried out.
    #[must_use]
    pub fn begun(time_s: u64, role: Role, subject: String, act: Act) -> Self {
        let (role, subject, act) = (Some(role), Some(subject), Some(act));
        Self { time_s, of: None, role, subject, act, outcome: Outcome::Begun, code: None, unwritten: 0 }
    }

    /// A try that was refused before anything was begun.
    #[must_use]
    pub fn refused(time_s: u64, role: Option<Role>, subject: String, act: Act, code: &str, unwritten: u64) -> Self {
        let (subject, act, code) = (Some(subject), Some(act), Some(code.to_owned()));
        Self { time_s, of: None, role, subject, act, outcome: Outcome::Refused, code, unwritten }
    }

    /// What became of an act.
    #[must_use]
    pub fn outcome(time_s: u64, of: u64, outcome: Outcome, code: Option<&str>) -> Self {
        let code = code.map(str::to_owned);
        Self { time_s, of: Some(of), role: None, subject: None, act: None, outcome, code, unwritten: 0 }
    }
}

/// The keys of one file.
#[derive(Clone)]
pub struct Sealing {
    bodies: SealingKey,
    subjects: SealingKey,
    id: [u8; 16],
}

impl Sealing {
    /// Of the file with this identity, under the sequencer's master key.
    #[must_use]
    pub fn of(master: &SealingKey, id: &[u8; 16]) -> Self {
        Self {
            bodies: derived("gridveil audit bodies v1", master, id),
            subjects: derived("gridveil audit subjects v1", master, id),
            id: *id,
        }
    }

    fn context(&self, number: u64) -> Vec<u8> {
        [&b"gridveil audit entry v1"[..], &self.id, &number.to_be_bytes()].concat()
    }

    /// A pseudonym of 16 hex digits.
    pub(super) fn pseudonym(&self, grantee: &[u8; 32]) -> String {
        hex::encode(&blake3::keyed_hash(self.subjects.as_bytes(), grantee).as_bytes()[..8])
    }

    /// The body of an entry; `None` if it is too long, or there is no randomness.
    pub(super) fn seal(&self, number: u64, entry: &Entry) -> Option<Vec<u8>> {
        let mut plain = serde_json::to_vec(entry).ok()?;
        if plain.len() > PLAIN_BYTES {
            return None;
        }
        // JSON may be followed by blanks.
        plain.resize(PLAIN_BYTES, b' ');
        self.bodies.seal(&[], &self.context(number), &plain).ok()
    }

    /// The entry of a body; `None` if it does not open.
    #[must_use]
    pub fn open(&self, number: u64, body: &[u8]) -> Option<Entry> {
        let plain = self.bodies.open(&[], &self.context(number), body).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}
