use super::*;
use crate::{
    formats::{p1, sml},
    model::Quality,
};

/// 12:00:00 of 18 January 2026, UTC.
const NOON: i64 = 1_768_737_600;
const QUARTERS: Terms = Terms { length: 900, modulus: None };

fn now(unix: i64) -> Now {
    Now { unix, up: unix - NOON + 50_000, boot: "one".into() }
}

/// DSMR 5 by its own clock, in winter.
fn dsmr5(unix: i64, wh: u32) -> String {
    let second = unix + 3600 - (NOON - 43_200);
    let clock =
        format!("2601{:02}{:02}{:02}{:02}W", 18 + second / 86_400, second / 3600 % 24, second / 60 % 60, second % 60);
    p1::tests::written(&clock, [wh, 0], 0)
}

/// DSMR 2: neither clock nor checksum.
fn dsmr2(wh: u32) -> String {
    format!("/ISk5\\2MT382-1004\r\n\r\n0-0:96.1.1(00)\r\n1-0:1.8.1({:05}.{:03}*kWh)\r\n!\r\n", wh / 1000, wh % 1000)
}

struct Line {
    stream: Stream,
    book: Book,
    borders: Vec<Border>,
    troubles: Vec<Trouble>,
}

impl Line {
    fn new(speech: Speech, terms: Terms) -> Self {
        Self { stream: Stream::new(speech), book: Book::new(terms, None), borders: vec![], troubles: vec![] }
    }

    fn say(&mut self, at: Now, bytes: &[u8]) {
        // As slowly as a line is: no telegram comes in one piece.
        let found: Vec<Found> = bytes.chunks(7).flat_map(|part| self.stream.push(part)).collect();
        self.heard(at, found);
    }

    fn cut(&mut self, at: Now) {
        let found = self.stream.end();
        self.heard(at, found);
    }

    fn heard(&mut self, at: Now, found: Vec<Found>) {
        for one in found {
            match one {
                Found::Reading(reading) => {
                    for event in self.book.take(reading, at.clone()) {
                        match event {
                            Event::Border(border) => self.borders.push(border),
                            Event::Trouble(trouble, _) => self.troubles.push(trouble),
                        }
                    }
                }
                Found::Trouble(trouble) => self.troubles.push(trouble),
            }
        }
    }

    fn booked(&self) -> Vec<(i64, u64)> {
        let terms = self.book.terms();
        let pairs = self.borders.windows(2).filter_map(|pair| between(&pair[0], &pair[1], terms).ok());
        pairs.map(|entry| (entry.start - NOON, entry.import_wh)).collect()
    }
}

#[test]
fn borders_become_intervals_whatever_the_line_does() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    line.say(now(NOON - 3), b".8.1(000001.000*kWh)\r\n!ABCD\r\n");
    assert_eq!(line.troubles, [Trouble::Half], "a line is opened in the middle of a telegram");
    line.say(now(NOON + 2), dsmr5(NOON + 2, 1_000).as_bytes());
    // Changed at the border, and the next one is whole.
    let bad = dsmr5(NOON + 901, 1_250).replace("000001.250", "000009.250");
    line.say(now(NOON + 901), bad.as_bytes());
    line.say(now(NOON + 902), dsmr5(NOON + 902, 1_251).as_bytes());
    line.say(now(NOON + 903), &dsmr5(NOON + 903, 1_252).as_bytes()[..60]);
    line.cut(now(NOON + 904));
    line.say(now(NOON + 1_700), &[0xff, 0, 0x1b, b'/', b'\n'].repeat(20_000));
    line.say(now(NOON + 1_800), dsmr5(NOON + 1_800, 1_300).as_bytes());
    assert_eq!(line.booked(), [(0, 251), (900, 49)]);
    assert_eq!(line.troubles[1..3], [Trouble::Checksum, Trouble::Half]);
    assert!(line.troubles[3..].iter().all(|t| *t == Trouble::Garbage) && line.troubles.len() == 4, "said once");
}

#[test]
fn a_gap_is_a_gap() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    for (at, wh) in [(0, 0), (900, 100), (2_711, 300), (3_600, 400), (4_500, 500)] {
        line.say(now(NOON + at), dsmr5(NOON + at, wh).as_bytes());
    }
    // 2711 is later after its border than a telegram may be.
    assert_eq!((line.booked(), line.troubles), (vec![(0, 100), (3_600, 100)], vec![Trouble::Gap]));
}

#[test]
fn a_register_that_falls_and_another_meter_book_nothing() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    line.say(now(NOON), dsmr5(NOON, 5_000).as_bytes());
    line.say(now(NOON + 900), dsmr5(NOON + 900, 4_000).as_bytes());
    line.say(now(NOON + 1_800), dsmr5(NOON + 1_800, 4_100).as_bytes());
    let other = dsmr5(NOON + 2_700, 4_200).replace("0-0:96.1.1(4530)", "0-0:96.1.1(4531)");
    let body = other.split_once('!').map(|(body, _)| format!("{body}!")).unwrap();
    line.say(now(NOON + 2_700), format!("{body}{:04X}\r\n", p1::checksum(body.as_bytes())).as_bytes());
    assert_eq!(line.booked(), [(900, 100)]);
    assert_eq!(line.troubles, [Trouble::Falls, Trouble::OtherMeter]);
    let modulus = Some(Energy::wh(6_000));
    let [a, b] = [&line.borders[0], &line.borders[1]];
    assert_eq!(between(a, b, Terms { modulus, ..QUARTERS }), Err(Trouble::Falls), "no roll-over drops so far");
    let low = Border { registers: [Some(Energy::wh(200)), Some(Energy::ZERO)], ..b.clone() };
    assert_eq!(between(a, &low, Terms { modulus, ..QUARTERS }).map(|e| e.import_wh), Ok(1_200));
    let without = Border { registers: [Some(Energy::wh(5_001)), None], ..b.clone() };
    assert_eq!(between(a, &without, QUARTERS), Err(Trouble::Registers));
}

#[test]
fn clocks_that_disagree_are_doubted() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    for (at, wh, off) in [(0, 0, 27), (900, 50, -27), (1_800, 90, 28), (2_700, 95, 0)] {
        line.say(now(NOON + at + off), dsmr5(NOON + at, wh).as_bytes());
    }
    assert_eq!(line.troubles, [Trouble::Drift]);
    let qualities: Vec<_> = line.borders.windows(2).map(|p| between(&p[0], &p[1], QUARTERS).unwrap().quality).collect();
    assert_eq!(qualities, [Quality::Measured, Quality::Drifted, Quality::Drifted]);
    // A clock that was never set keeps nothing out.
    line.say(now(NOON + 2_700), dsmr5(NOON + 90_000 + 2_700, 95).as_bytes());
    assert_eq!((line.troubles.pop(), line.borders.len()), (Some(Trouble::Drift), 4));
    // Set back by an hour: what is kept is not read twice.
    line.say(now(NOON - 900), dsmr5(NOON - 900, 96).as_bytes());
    assert_eq!((line.troubles.last(), line.borders.len()), (Some(&Trouble::Backwards), 4));
}

#[test]
fn a_telegram_without_checksum_counts_between_two_that_confirm_it() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    let mut say = |from: i64, wh: &[u32]| {
        for (at, wh) in (from..).step_by(10).zip(wh) {
            line.say(now(NOON + at), dsmr2(*wh).as_bytes());
        }
    };
    say(-10, &[999, 1_000, 1_001]);
    // One digit changed at the border; the next telegram is in time, and those before and after it confirm it.
    say(880, &[1_239, 1_240, 9_241, 1_243, 1_244]);
    // Two changed, the one after the other.
    say(1_780, &[1_298, 1_299, 1_300, 13_000, 1_302, 1_303]);
    say(2_680, &[1_398, 1_399, 1_000, 1_401, 1_402]);
    assert_eq!(line.booked(), [(0, 243), (900, 57), (1_800, 101)]);
    assert_eq!(line.troubles, [Trouble::Unconfirmed; 3]);
    assert!(line.borders.iter().all(|border| border.read - border.start <= 10));
}

fn frame(seconds: u32, wh: u32) -> Vec<u8> {
    sml::tests::frame_at(seconds, 1, 0, wh * 10 + 7, -1)
}

#[test]
fn a_meter_without_a_clock_needs_something_that_shows_the_time() {
    let mut line = Line::new(Speech::Sml, QUARTERS);
    line.say(now(NOON), &frame(1_000, 5_000));
    line.say(now(NOON + 901), &[&frame(1_901, 5_100)[..30], &frame(1_901, 5_100)].concat());
    // The machine starts anew; the meter's running time goes on.
    let other = |unix| Now { boot: "two".into(), up: unix - NOON, unix };
    line.say(other(NOON + 1_800), &frame(2_800, 5_150));
    // The computer's clock was a day behind, and the meter knows better.
    line.say(other(NOON + 2_700), &frame(2_800 + 86_400, 9_000));
    line.say(other(NOON + 3_600), &frame(2_800 + 87_300, 9_010));
    // The power was out: the meter began anew, the machine did not.
    line.say(other(NOON + 4_500), &frame(10, 9_020));
    // Both began anew: nothing shows how long it was.
    line.say(Now { boot: "three".into(), up: 60, unix: NOON + 5_400 }, &frame(9, 9_500));
    let booked = line.booked();
    assert_eq!(booked, [(0, 100), (900, 50), (2_700, 10), (3_600, 10)]);
    assert_eq!(line.troubles, [Trouble::Half, Trouble::Unproven, Trouble::Unproven]);
}

#[test]
fn a_computer_whose_clock_was_set_books_nothing_across_it() {
    let mut line = Line::new(Speech::P1, QUARTERS);
    let mut say = |now: &dyn Fn(i64) -> Now, from: i64, wh: &[u32]| {
        for (at, wh) in (from..).step_by(10).zip(wh) {
            line.say(now(NOON + at), dsmr2(*wh).as_bytes());
        }
    };
    say(&now, -10, &[999, 1_000, 1_001]);
    let set = |unix| Now { up: unix - NOON + 90_000, ..now(unix) };
    say(&set, 890, &[8_000, 8_001, 8_002]);
    say(&set, 1_790, &[8_100, 8_101, 8_102]);
    assert_eq!((line.booked(), line.troubles), (vec![(900, 100)], vec![Trouble::Unproven]));
}

#[test]
fn names_are_distinct() {
    let mut names: Vec<&str> = Trouble::ALL.iter().map(|t| t.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Trouble::ALL.len());
}
