//! A refusal on the wire: an `application/problem+json` document (`docs/spec/api.md`, Errors).

use std::fmt;

use gridveil_protocol::units::Interval;
use serde::{Deserialize, Serialize};

use crate::code::{Code, CodeName, Fault};

/// What every `type` begins with.
const URN: &str = "urn:gridveil:problem:";
/// Characters of a server's text that are shown at most.
const SHOWN: usize = 300;

/// A refusal. A field that a reader does not find is empty, so a proxy's page in place of a document is a refusal too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// `urn:gridveil:problem:` and the code.
    #[serde(rename = "type")]
    pub urn: String,
    /// What kind of refusal, for people.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Which item and why, for people. Never content.
    pub detail: String,
    /// Stable name.
    pub code: CodeName,
    /// Whose input or duty it is.
    pub fault: Fault,
    /// Can sending the same bytes again later succeed?
    pub retry: bool,
    /// Which request was refused: `urn:gridveil:request:` and the id in its `x-request-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What some codes say beside.
    #[serde(flatten)]
    pub members: Members,
}

/// Members of some codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// `body.malformed`: line of the JSON, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// `body.malformed`: column of the JSON, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// `operation.nonce`: the slot's next nonce, to who can sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
    /// What the rules refuse: the clause of `docs/spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// `close.period`: first interval of the open period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Interval>,
    /// `close.missing`: used slots without any packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<u16>>,
}

impl Problem {
    /// A refusal with a code of the table.
    #[must_use]
    pub fn new(code: Code, detail: String, members: Members) -> Self {
        Self {
            urn: format!("{URN}{}", code.name),
            title: code.title.to_owned(),
            status: code.status,
            detail,
            code: code.into(),
            fault: code.fault,
            retry: code.retry,
            instance: None,
            members,
        }
    }

    /// Is it this refusal?
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code.is(code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        // A detail that says the title again is left out.
        let again = self.detail.to_lowercase().trim_end_matches('.') == self.title.to_lowercase();
        let detail = if again { "" } else { self.detail.as_str() };
        for text in [self.title.as_str(), detail].into_iter().filter(|t| !t.is_empty()) {
            write!(f, ": {}", printable(text))?;
        }
        Ok(())
    }
}

/// A server's text, made safe for a terminal: at most 300 characters on one line, without control characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::code;

    #[test]
    fn nothing_is_said_twice() {
        let said = |detail: &str| Problem::new(code::PACKET_CLOSED, detail.into(), Members::default()).to_string();
        assert_eq!(said("the period is closed"), "410 packet.closed: The period is closed");
        assert_eq!(said("a day ago"), "410 packet.closed: The period is closed: a day ago");
    }

    #[test]
    fn a_document_reads_back_with_the_members_of_its_code() {
        let members = Members { expected: Some(7), clause: Some("OP.1".into()), ..Members::default() };
        let problem = Problem::new(code::OPERATION_NONCE, "why".into(), members);
        let json = serde_json::to_value(&problem).unwrap();
        let expected = serde_json::json!({
            "type": "urn:gridveil:problem:operation.nonce", "title": "Not the slot's next nonce", "status": 409, "detail": "why",
            "code": "operation.nonce", "fault": "owner", "retry": false, "expected": 7, "clause": "OP.1",
        });
        assert_eq!(json, expected);
        let read: Problem = serde_json::from_value(json).unwrap();
        assert_eq!(read, problem);
        assert!(read.is(code::OPERATION_NONCE) && !read.is(code::OPERATION_UNITS));
    }

    #[test]
    fn what_another_server_says_is_read_as_far_as_it_is_understood() {
        let text = r#"{"status":502,"code":"of.a\u001bnother","fault":"moon","extra":[1]}"#;
        let read: Problem = serde_json::from_str(text).unwrap();
        assert_eq!((read.fault, read.code.known()), (Fault::Unknown, None));
        assert_eq!(read.to_string(), "502 of.a nother");
    }
}
