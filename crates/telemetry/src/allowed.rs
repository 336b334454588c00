//! What may leave in a trace. A span that is not in the list is not sent; of one that is, only the attributes in the list,
//! and only values of their form. Events, messages and descriptions are not sent at all.
//!
//! Whoever adds a line here says why it is no figure of a person: a number of a community, a batch or a period is public on
//! L1, a route is one of the program's, an id of a request is random.

use opentelemetry::{KeyValue, Value, trace::Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents};

/// Names of spans.
pub const SPANS: [&str; 8] = ["request", "admit", "commit", "close", "select", "prove", "settle", "prove_job"];

/// Attributes, and the form of each.
pub const ATTRIBUTES: [(&str, Form); 12] = [
    ("request_id", Form::Id),
    ("listener", Form::Word),
    ("method", Form::Word),
    ("route", Form::Route),
    ("status", Form::Number),
    ("community", Form::Number),
    ("first_interval", Form::Number),
    ("batch", Form::Number),
    ("shape", Form::Word),
    ("circuit_version", Form::Number),
    ("records", Form::Number),
    ("attempt", Form::Number),
];

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Number,
    /// At most 24 letters, digits and dashes.
    Word,
    /// 8 to 64 letters, digits, `-`, `_` and `.`.
    Id,
    /// A route of the program: parts of a path, where what differs has a name in braces. `none` for a path that is no route.
    Route,
}

impl Form {
    /// Is the value of this form?
    #[must_use]
    pub fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Number, Value::I64(_)) => true,
            (Self::Number, _) | (_, Value::Bool(_) | Value::I64(_) | Value::F64(_) | Value::Array(_)) => false,
            (form, Value::String(text)) => form.is(text.as_str()),
            _ => false,
        }
    }

    fn is(self, text: &str) -> bool {
        let word = |text: &str, most| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        match self {
            Self::Number => false,
            Self::Word => word(text, 24),
            Self::Id => {
                (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            }
            Self::Route => {
                let name = |part: &str| {
                    part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(part).to_owned()
                };
                let part = |part: &str| {
                    let name = name(part);
                    let named =
                        name.bytes().all(|b| b.is_ascii_lowercase() || b"-_.".contains(&b) || b.is_ascii_digit());
                    named && name.len() <= 24 && name.starts_with(|c: char| c.is_ascii_lowercase())
                };
                text == "none" || text.strip_prefix('/').is_some_and(|parts| parts.split('/').all(part))
            }
        }
    }
}

/// The span as it may leave; `None` if it may not.
#[must_use]
pub fn only(span: SpanData) -> Option<SpanData> {
    SPANS.contains(&span.name.as_ref()).then(|| SpanData {
        attributes: span.attributes.into_iter().filter_map(allowed).collect(),
        events: SpanEvents::default(),
        status: match span.status {
            Status::Error { .. } => Status::Error { description: "".into() },
            other => other,
        },
        ..span
    })
}

/// The attribute as it may leave; `None` if it may not.
fn allowed(attribute: KeyValue) -> Option<KeyValue> {
    let (_, form) = ATTRIBUTES.iter().find(|(key, _)| attribute.key.as_str() == *key)?;
    let attribute = if *form == Form::Number { numbered(attribute) } else { attribute };
    form.takes(&attribute.value).then_some(attribute)
}

/// A number that the layer of traces wrote as a text, as it does with those without a sign.
fn numbered(attribute: KeyValue) -> KeyValue {
    match &attribute.value {
        Value::String(text) if text.as_str().bytes().all(|b| b.is_ascii_digit()) => {
            match text.as_str().parse::<i64>() {
                Ok(number) => KeyValue::new(attribute.key, number),
                Err(_) => attribute,
            }
        }
        _ => attribute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(key: &'static str, value: impl Into<Value>) -> bool {
        allowed(KeyValue::new(key, value)).is_some()
    }

    #[test]
    fn what_is_not_listed_or_not_of_its_form_does_not_leave() {
        assert!(
            takes("batch", 7) && takes("batch", "7") && !takes("batch", "70000000000000000000") && !takes("batch", "")
        );
        assert!(takes("route", "/v1/communities/{community}/tariffs/{first_interval}"));
        assert!(takes("route", "none") && takes("request_id", "0193a4e2-7f4a-7cc3-98c8-0e1f2a3b4c5d"));
        assert!(takes("shape", "home-32x24") && takes("listener", "public") && takes("route", "/admin/v1/status"));
        for (key, value) in [
            ("slot", Value::from(3)),
            ("batch", "0xdeadbeef".into()),
            ("route", "/v1/operations/0x66aa".into()),
            ("route", "/v1/communities/5".into()),
            ("route", "/v1/../../etc/passwd words".into()),
            ("shape", "a reading of 1234 Wh".into()),
            ("listener", "192.0.2.7".into()),
            ("request_id", "someone@example.org".into()),
            ("status", 2.5.into()),
            ("exception.message", "why".into()),
        ] {
            assert!(!takes(key, value.clone()), "{key} {value}");
        }
    }
}
