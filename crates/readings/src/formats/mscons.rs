//! MSCONS: the EDIFACT messages in which network operators of Germany and Austria hand on values of meters.
//!
//! Read are values of intervals (`QTY` with its `DTM+163` and `DTM+164`) of the metering point of `LOC+172`, of the register
//! of `PIA+5`: OBIS `1.x` is import, `2.x` export. Times have their offset (format 303). Quantities: 220 measured, 67 put in
//! by the operator, 201 and Z18 proposed or provisional, 187 forecast. Readings of dials alone make no interval.

use std::collections::BTreeMap;

use crate::{
    Choice, Finding, MAX_READINGS, Place, Rule, SourceError,
    csv::{Order, stamp},
    energy::{Decimal, Energy, Unit},
    error::shown,
    model::{Channel, Decoded, Direction, Quality, Raw},
    zone::{Stamp, checked_length},
};

/// Longest segment, bytes.
const MAX_SEGMENT: usize = 4096;

/// The signs that part a message.
struct Signs {
    component: char,
    element: char,
    decimal: char,
    release: char,
    segment: char,
}

/// One segment: elements of components.
struct Segment {
    at: Place,
    elements: Vec<Vec<String>>,
}

impl Segment {
    fn part(&self, element: usize, component: usize) -> &str {
        self.elements.get(element).and_then(|e| e.get(component)).map_or("", String::as_str)
    }
}

/// What is being put together.
#[derive(Default)]
struct State {
    meter: String,
    register: String,
    value: Option<(String, String, String, Place)>,
    from: Option<i64>,
    until: Option<i64>,
}

/// Reads every metering point.
///
/// # Errors
/// [`SourceError`].
pub fn decode(text: &str, _: &Choice) -> Result<Decoded, SourceError> {
    let (signs, body) = signs(text)?;
    let mut file = File { signs, channels: Vec::new(), passed: BTreeMap::new(), dials: 0, count: 0 };
    let mut state = State::default();
    let mut messages = 0;
    for segment in segments(&file.signs, body)? {
        match segment.part(0, 0) {
            "UNH" => {
                if segment.part(2, 0) != "MSCONS" {
                    let found = shown(segment.part(2, 0));
                    return Err(SourceError::NotRead(format!("{}: a message {found}, not MSCONS", segment.at)));
                }
                messages += 1;
            }
            "LOC" if segment.part(1, 0) == "172" => {
                file.close(&mut state)?;
                state = State { meter: segment.part(2, 0).to_owned(), ..State::default() };
            }
            "LIN" => {
                file.close(&mut state)?;
                state.register.clear();
            }
            "PIA" if segment.part(1, 0) == "5" => state.register = segment.part(2, 0).to_owned(),
            "QTY" => {
                file.close(&mut state)?;
                let part = |i| segment.part(1, i).to_owned();
                state.value = Some((part(0), part(1), part(2), segment.at));
            }
            "DTM" if state.value.is_some() && segment.part(1, 0) == "163" => state.from = Some(instant(&segment)?),
            "DTM" if state.value.is_some() && segment.part(1, 0) == "164" => state.until = Some(instant(&segment)?),
            "UNT" => file.close(&mut state)?,
            _ => {}
        }
    }
    file.close(&mut state)?;
    if messages == 0 {
        return Err(SourceError::Empty("no message (UNH)".to_owned()));
    }
    if file.channels.is_empty() && file.dials > 0 {
        return Err(SourceError::NoInterval {
            found: format!("{} readings of dials, and no load profile", file.dials),
        });
    }
    let passed = |(what, count): (&String, &u64)| {
        let finding = Finding::file(Rule::PassedOver, format!("register {}", shown(what)));
        Finding { count: *count, ..finding }
    };
    let findings = file.passed.iter().map(passed).collect();
    let (source, unit) = ("mscons".to_owned(), "kWh".to_owned());
    Ok(Decoded { source, stamp: "start", unit, channels: file.channels, findings, ..Decoded::default() })
}

struct File {
    signs: Signs,
    channels: Vec<Channel>,
    passed: BTreeMap<String, u64>,
    dials: u64,
    count: usize,
}

impl File {
    /// A value with its times is a reading.
    fn close(&mut self, state: &mut State) -> Result<(), SourceError> {
        let (from, until) = (state.from.take(), state.until.take());
        let Some((kind, number, unit, at)) = state.value.take() else { return Ok(()) };
        let direction = match state.register.split_once(':').map(|(_, value)| value.split('.').next().unwrap_or("")) {
            Some("1") => Direction::Import,
            Some("2") => Direction::Export,
            _ => {
                *self.passed.entry(state.register.clone()).or_default() += 1;
                return Ok(());
            }
        };
        let (Some(start), Some(end)) = (from, until) else {
            self.dials += 1;
            return Ok(());
        };
        let quality = match kind.as_str() {
            "220" => Quality::Measured,
            "67" => Quality::Substituted,
            "187" => Quality::Estimated,
            "201" | "Z18" => Quality::Questionable,
            _ => Quality::Unknown,
        };
        self.count += 1;
        if self.count > MAX_READINGS {
            return Err(SourceError::TooManyReadings { at });
        }
        let length = checked_length(u64::try_from(end - start).unwrap_or(0), at)?;
        let unit = Unit::parse(&unit).ok_or_else(|| SourceError::Unit { at, found: shown(&unit) })?;
        let refused = || SourceError::Cell { at, found: shown(&number), expected: "a number" };
        let decimal = Decimal::parse(&number, self.signs.decimal).or_else(|| Decimal::parse(&number, '.'));
        let energy = Energy::of(decimal.ok_or_else(refused)?, unit, length).ok_or(SourceError::Implausible { at })?;
        let same = |c: &Channel| c.meter == state.meter && c.direction == direction;
        let index = self.channels.iter().position(same).unwrap_or_else(|| {
            self.channels.push(Channel::intervals(&state.meter, direction));
            self.channels.len() - 1
        });
        if let Some(channel) = self.channels.get_mut(index) {
            channel.raws.push(Raw { start, length, energy, quality, at, part: 0, begins_block: false });
        }
        Ok(())
    }
}

/// `DTM+163:202506172200?+00:303`.
fn instant(segment: &Segment) -> Result<i64, SourceError> {
    let (text, format) = (segment.part(1, 1), segment.part(1, 2));
    let at = segment.at;
    let expected = "a time with its offset, such as 202506172200+00 in format 303";
    let refused = || SourceError::Cell { at, found: shown(text), expected };
    let (digits, offset) = text.split_at_checked(12).filter(|_| format == "303").ok_or_else(refused)?;
    let hours: i64 = offset.parse().ok().filter(|h| (-12..=14).contains(h) && offset.len() == 3).ok_or_else(refused)?;
    match stamp(digits, Some(Order::Ymd)) {
        Some(local @ Stamp::Local(_)) => Ok(local.clock() - hours * 3600),
        _ => Err(refused()),
    }
}

fn signs(text: &str) -> Result<(Signs, &str), SourceError> {
    let text = text.trim_start();
    let usual = Signs { component: ':', element: '+', decimal: '.', release: '?', segment: '\'' };
    let Some(advice) = text.strip_prefix("UNA") else { return Ok((usual, text)) };
    let what = "UNA needs six signs";
    let refused = SourceError::Malformed { at: Place::line(1), what };
    let mut signs = advice.chars();
    let mut next = || signs.next().filter(|c| c.is_ascii() && !c.is_ascii_alphanumeric());
    let (Some(component), Some(element), Some(decimal), Some(release), Some(_), Some(segment)) =
        (next(), next(), next(), next(), next(), next())
    else {
        return Err(refused);
    };
    Ok((Signs { component, element, decimal, release, segment }, signs.as_str()))
}

fn segments(signs: &Signs, text: &str) -> Result<Vec<Segment>, SourceError> {
    let (mut found, mut elements, mut line, mut length) = (Vec::new(), vec![vec![String::new()]], 1u64, 0usize);
    let mut begins = Place::line(1);
    let mut released = false;
    for c in text.chars() {
        if c == '\n' {
            line += 1;
        }
        if matches!(c, '\r' | '\n') && !released {
            continue;
        }
        length += c.len_utf8();
        if length > MAX_SEGMENT {
            return Err(SourceError::Malformed { at: begins, what: "a segment that does not end" });
        }
        if length == c.len_utf8() {
            begins = Place::line(line);
        }
        if !std::mem::take(&mut released) {
            if c == signs.release {
                released = true;
                continue;
            }
            if c == signs.segment {
                found.push(Segment {
                    at: begins,
                    elements: std::mem::replace(&mut elements, vec![vec![String::new()]]),
                });
                length = 0;
                continue;
            }
            if c == signs.element {
                elements.push(vec![String::new()]);
                continue;
            }
            if c == signs.component {
                if let Some(last) = elements.last_mut() {
                    last.push(String::new());
                }
                continue;
            }
        }
        if let Some(component) = elements.last_mut().and_then(|e| e.last_mut()) {
            component.push(c);
        }
    }
    if length > 0 {
        return Err(SourceError::Malformed { at: begins, what: "the file ends inside a segment" });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Import, read};

    fn of(text: &str) -> Result<Import, SourceError> {
        read(text.as_bytes(), &Choice::default())
    }

    fn value(kind: &str, kwh: &str, from: &str, until: &str) -> String {
        format!("QTY+{kind}:{kwh}:KWH'\nDTM+163:20250617{from}?+00:303'\nDTM+164:20250617{until}?+00:303'\n")
    }

    fn message(values: &str) -> String {
        format!(
            "UNA:+.? '\nUNB+UNOC:3+9900:500+9901:500+250618:0800+1'\nUNH+1+MSCONS:D:04B:UN:2.4c'\nBGM+7+1+9'\nDTM+137:202506180800?+00:303'\n\
             NAD+DP'\nLOC+172+DE00000000000000000000000000000001'\nDTM+163:202506170000?+00:303'\nLIN+1'\n{values}UNT+9+1'\nUNZ+1+1'\n"
        )
    }

    #[test]
    fn a_load_profile_is_read_with_its_qualities() {
        let values = "PIA+5+1-1?:1.29.0:SRW'\n".to_owned()
            + &value("220", "0.25", "2200", "2215")
            + &value("67", "0.5", "2215", "2230")
            + "LIN+2'\nPIA+5+1-1?:2.29.0:SRW'\n"
            + &value("220", "0.01", "2200", "2215")
            + &value("220", "0.02", "2215", "2230")
            + "LIN+3'\nPIA+5+1-1?:5.29.0:SRW'\n"
            + &value("220", "9", "2200", "2215");
        let import = of(&message(&values)).unwrap();
        assert_eq!((import.series.total_wh(), import.series.entries()[0].start), ([750, 30], 1_750_197_600));
        let rules: Vec<_> = import.findings.iter().map(|f| (f.rule, f.start)).collect();
        assert_eq!(rules, [(Rule::Substituted, Some(1_750_198_500)), (Rule::PassedOver, None)]);
        assert_eq!(import.meter.len(), 34);
    }

    #[test]
    fn other_things_are_refused_with_their_reason() {
        let dial = "PIA+5+1-1?:1.8.0:SRW'\nQTY+220:12345:KWH'\nDTM+9:202506180000?+00:303'\n";
        assert!(matches!(of(&message(dial)), Err(SourceError::NoInterval { .. })));
        let one = "PIA+5+1-1?:1.29.0:SRW'\n".to_owned() + &value("220", "0.25", "2200", "2215");
        assert!(matches!(of(&message(&one).replace("MSCONS:", "UTILMD:")), Err(SourceError::NotRead(_))));
        assert!(matches!(of(&message(&one).replace("KWH", "MTQ")), Err(SourceError::Unit { .. })));
        assert!(matches!(of(&message(&one).replace("2215?+00:303", "2215:203")), Err(SourceError::Cell { .. })));
        assert!(matches!(of(&message(&one).replace("UNZ+1+1'", "UNZ+1+1")), Err(SourceError::Malformed { .. })));
        assert!(matches!(of(&format!("UNA:+.? '{}", "A".repeat(5000))), Err(SourceError::Malformed { .. })));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*") {
            let _ = of(&format!("UNA:+.? '{text}"));
            let _ = of(&message(&text));
        }
    }
}
