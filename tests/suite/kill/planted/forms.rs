//! The ways in which a secret could be written: bytes, either way round, hex, Base64, a number, a list of numbers.

use std::{collections::BTreeSet, sync::OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use gridveil_protocol::packet::Reading;

/// Secrets by name, and every form of each.
#[derive(Clone, Default)]
pub struct Sought {
    forms: Vec<(&'static str, Vec<u8>)>,
    searcher: OnceLock<AhoCorasick>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The digits that stand for these bytes wherever they are in what is encoded: at each of three places the first and last
/// are shared with what is beside them, and left away.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<Vec<u8>> {
    let at = |place: usize| {
        let shifted: Vec<u8> = std::iter::repeat_n(0, place).chain(bytes.iter().copied()).collect();
        let digits = shifted.chunks(3).flat_map(|three| {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            (0..=three.len()).map(move |digit| alphabet[(bits >> (18 - 6 * digit) & 63) as usize])
        });
        let digits: Vec<u8> = digits.collect();
        let (first, last) = ((8 * place).div_ceil(6), 8 * shifted.len() / 6);
        digits[first..last].to_vec()
    };
    (0..3).map(at).collect()
}

/// As a number, most significant byte first.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            (*digit, carry) = (u8::try_from(carry % 10).unwrap(), carry / 10);
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap());
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Sought {
    /// Bytes that are secret.
    pub fn bytes(&mut self, name: &'static str, bytes: &[u8]) {
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        for way in [bytes, &reversed] {
            let list = |between: &str| way.iter().map(u8::to_string).collect::<Vec<_>>().join(between);
            let texts = [hex(way), hex(way).to_uppercase(), decimal(way), list(","), list(", ")];
            self.add(name, way.to_vec());
            texts.into_iter().for_each(|text| self.add(name, text.into_bytes()));
            [LETTERS, URL_LETTERS].into_iter().flat_map(|of| base64(way, of)).for_each(|form| self.add(name, form));
        }
    }

    /// A day of readings: both registers by turns, and each for itself.
    pub fn readings(&mut self, name: &'static str, readings: &[Reading]) {
        let imports: Vec<u16> = readings.iter().map(|reading| reading.import).collect();
        let both: Vec<u16> = readings.iter().flat_map(|reading| [reading.import, reading.export]).collect();
        for numbers in [&imports, &both] {
            let list = |between: &str| numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(between);
            for width in [2, 4, 8] {
                let wide = |number: &u16| u64::from(*number).to_be_bytes()[8 - width..].to_vec();
                let big: Vec<u8> = numbers.iter().flat_map(wide).collect();
                let little = numbers.iter().flat_map(|number| wide(number).into_iter().rev());
                self.add(name, hex(&big).into_bytes());
                self.add(name, little.collect());
                self.add(name, big);
            }
            [",", ", ", " ", "\n"].into_iter().for_each(|between| self.add(name, list(between).into_bytes()));
        }
        for form in [serde_json::to_vec(readings), serde_json::to_vec_pretty(readings)] {
            let form = form.unwrap();
            self.add(name, form[1..form.len() - 1].to_vec());
        }
        self.add(name, format!("{readings:?}").into_bytes());
    }

    fn add(&mut self, name: &'static str, form: Vec<u8>) {
        assert!(form.len() >= 16, "{name}: {form:?} could be there by chance");
        self.forms.push((name, form));
        self.searcher = OnceLock::new();
    }

    /// Some of them.
    pub fn only(&self, names: &[&str]) -> Self {
        let forms = self.forms.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
        Self { forms, searcher: OnceLock::new() }
    }

    fn searcher(&self) -> &AhoCorasick {
        self.searcher.get_or_init(|| {
            let forms = self.forms.iter().map(|(_, form)| form);
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(forms).unwrap()
        })
    }

    /// Names of those that are in these bytes.
    pub fn found(&self, bytes: &[u8]) -> BTreeSet<&'static str> {
        self.searcher().find_overlapping_iter(bytes).map(|found| self.forms[found.pattern().as_usize()].0).collect()
    }

    /// Each form of each is found in the middle of something, or the search would show nothing.
    pub fn finds_itself(&self) {
        for (name, form) in &self.forms {
            let hidden = [&b"what stands before"[..], form, b"and after"].concat();
            assert!(self.found(&hidden).contains(name), "{name} is not found as {form:?}");
        }
        assert!(self.found(b"nothing of it").is_empty());
    }
}

#[test]
fn forms_are_those_that_others_write() {
    assert_eq!(decimal(&[1, 0, 0]), "65536");
    assert_eq!(decimal(&[0xff; 8]), u64::MAX.to_string());
    let bytes = [7, 200, 13, 255, 0, 99, 31, 8];
    let whole = base64(&bytes, LETTERS);
    // Of Base64 of the bytes with one, two and three bytes before them, by other hands (base64(1)).
    for (form, all) in whole.iter().zip(["B8gN/wBjHwg=", "AAfIDf8AYx8I", "AAAHyA3/AGMfCA=="]) {
        assert!(all.contains(std::str::from_utf8(form).unwrap()), "{all}");
    }
}
