//! Bytes of a line into telegrams.

use super::{Reading, Speech, Trouble};
use crate::{
    SourceError,
    energy::Energy,
    formats::{p1, sml},
};

/// More than any register shows: 2^40 Wh.
const MOST: Energy = Energy::wh(1 << 40);

/// What bytes hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A telegram.
    Reading(Reading),
    /// Something else.
    Trouble(Trouble),
}

/// Takes bytes as they come. It keeps no more than one telegram.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    P1(Lines),
    Sml(Box<sml::Frames>),
}

impl Stream {
    /// A new line.
    #[must_use]
    pub fn new(speech: Speech) -> Self {
        Self(match speech {
            Speech::P1 => Kind::P1(Lines::default()),
            Speech::Sml => Kind::Sml(Box::default()),
        })
    }

    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        match &mut self.0 {
            Kind::P1(lines) => bytes.iter().for_each(|byte| lines.push(*byte, &mut found)),
            Kind::Sml(frames) => {
                let mut all = Vec::new();
                frames.push(bytes, &mut all);
                found.extend(all.into_iter().map(of_sml));
            }
        }
        found
    }

    /// The line ended here.
    pub fn end(&mut self) -> Vec<Found> {
        match &mut self.0 {
            Kind::P1(lines) => {
                let half = lines.begun;
                *lines = Lines::default();
                half.then_some(Found::Trouble(Trouble::Half)).into_iter().collect()
            }
            Kind::Sml(frames) => {
                let mut all = Vec::new();
                frames.end(&mut all);
                all.into_iter().map(of_sml).collect()
            }
        }
    }
}

/// A register counts up from zero, and has an end.
fn sound(reading: Reading) -> Found {
    let wrong = |energy: &Energy| energy.is_negative() || *energy >= MOST;
    if reading.registers == [None, None] || reading.registers.iter().flatten().any(wrong) {
        return Found::Trouble(Trouble::NotRead);
    }
    Found::Reading(reading)
}

fn of_sml(found: sml::Found) -> Found {
    match found {
        sml::Found::Telegram(sml::Telegram { meter, seconds, registers }) => {
            sound(Reading { meter, time: None, seconds, registers, checked: true })
        }
        sml::Found::Bad => Found::Trouble(Trouble::Checksum),
        sml::Found::Half => Found::Trouble(Trouble::Half),
        sml::Found::Garbage => Found::Trouble(Trouble::Garbage),
    }
}

/// Lines of a P1 port.
#[derive(Debug, Default)]
struct Lines {
    /// The telegram so far, or outside one the line so far.
    held: Vec<u8>,
    /// Where the last line of it begins.
    line: usize,
    /// In a telegram.
    begun: bool,
    /// Garbage that was said already.
    garbage: bool,
    /// Anything was found whole on this line.
    whole: bool,
}

impl Lines {
    fn push(&mut self, byte: u8, found: &mut Vec<Found>) {
        self.held.push(byte);
        if byte != b'\n' {
            if self.held.len() > p1::MAX_TELEGRAM {
                self.drop_all(found);
            }
            return;
        }
        match self.held.get(self.line) {
            Some(b'/') => {
                if self.begun {
                    found.push(Found::Trouble(Trouble::Half));
                    self.held.drain(..self.line);
                }
                (self.begun, self.garbage, self.line) = (true, false, self.held.len());
            }
            Some(b'!') if self.begun => {
                found.push(read(&self.held));
                self.held.clear();
                (self.begun, self.whole, self.line) = (false, true, 0);
            }
            _ if self.begun => self.line = self.held.len(),
            _ => self.drop_all(found),
        }
    }

    /// What is held is no telegram. On a line that was just opened it is the rest of one.
    fn drop_all(&mut self, found: &mut Vec<Found>) {
        let blank = self.held.iter().all(u8::is_ascii_whitespace);
        if !blank && !self.garbage {
            let rest = !self.whole && self.held.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
            found.push(Found::Trouble(if rest || self.begun { Trouble::Half } else { Trouble::Garbage }));
            self.garbage = true;
        }
        self.held.clear();
        (self.begun, self.line) = (false, 0);
    }
}

fn read(telegram: &[u8]) -> Found {
    match p1::sent(telegram, 1) {
        Ok(p1::Sent { meter, time, registers, checked }) => {
            sound(Reading { meter, time, seconds: None, registers, checked })
        }
        Err(SourceError::Checksum { .. }) => Found::Trouble(Trouble::Checksum),
        Err(_) => Found::Trouble(Trouble::NotRead),
    }
}
