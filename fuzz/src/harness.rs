//! Mutations of valid inputs, from one number, so that a failure can be had again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// Largest input that is tried.
const LONGEST: usize = 1 << 16;
/// Numbers at which formats change their mind.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 63, u64::MAX];
/// Words of JSON, XML and CSV that mean something else than what stood there.
const WORDS: [&[u8]; 10] = [
    b"null",
    b"true",
    b"-1",
    b"1e300",
    b"[]",
    b"{}",
    b"\"\"",
    b"340282366920938463463374607431768211455",
    b"<",
    b",\n",
];

/// Numbers of a stream (SplitMix64, as in Java 8's `SplittableRandom`).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed: any text, such as a commit's hash.
    #[must_use]
    pub fn of(seed: &str) -> Self {
        // FNV-1a.
        Self(
            seed.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// A range of at most `longest` positions of something `length` long.
    fn range(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(longest + 1)).min(length)
    }
}

/// An input that made a check panic.
#[derive(Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What the check said.
    pub message: String,
}

/// Runs `check` on every seed, then on mutations of them until `time` is over; gives the number of inputs.
///
/// # Errors
/// [`Failure`] of the first input on which `check` panics.
pub fn exercise(check: fn(&[u8]), seeds: &[Vec<u8>], random: &mut Random, time: Duration) -> Result<u64, Failure> {
    for seed in seeds {
        attempt(check, seed)?;
    }
    let (start, mut rounds) = (Instant::now(), seeds.len() as u64);
    while start.elapsed() < time {
        attempt(check, &mutated(seeds, random))?;
        rounds += 1;
    }
    Ok(rounds)
}

fn attempt(check: fn(&[u8]), input: &[u8]) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| check(input))).map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure { input: input.to_vec(), message: message.unwrap_or_else(|| "a panic without a message".to_owned()) }
    })
}

/// One of the seeds after one to four mutations.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| seeds.get(random.below(seeds.len())).map_or(&[][..], Vec::as_slice);
    let mut input = pick(random).to_vec();
    for _ in 0..=random.below(4) {
        match random.below(10) {
            0 => flip(&mut input, random),
            1 => input.truncate(random.below(input.len() + 1)),
            2 => splice(&mut input, pick(random), random),
            3 => repeat(&mut input, random),
            4 => drop(input.drain(random.range(input.len(), 32))),
            5 => edge(&mut input, random),
            6..=8 => token(&mut input, random),
            _ => word(&mut input, random),
        }
        input.truncate(LONGEST.max(seeds.iter().map(Vec::len).max().unwrap_or(0)));
    }
    input
}

fn flip(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let piece = other.get(random.range(other.len(), 256)).unwrap_or_default().to_vec();
    input.splice(random.range(input.len(), 256), piece);
}

/// A piece, several times.
fn repeat(input: &mut Vec<u8>, random: &mut Random) {
    let range = random.range(input.len(), 128);
    let piece = input.get(range.clone()).unwrap_or_default().repeat(1 + random.below(8));
    input.splice(range.end..range.end, piece);
}

/// A number of two, four or eight bytes, in either order, over what stood there.
fn edge(input: &mut Vec<u8>, random: &mut Random) {
    let number = EDGES.get(random.below(EDGES.len())).copied().unwrap_or(0);
    let width = [2, 4, 8].get(random.below(3)).copied().unwrap_or(8);
    let bytes = if random.below(2) == 0 { number.to_le_bytes() } else { number.rotate_right(8 * width).to_be_bytes() };
    let bytes = bytes.get(..width as usize).unwrap_or_default().to_vec();
    let start = random.below(input.len() + 1);
    input.splice(start..(start + bytes.len()).min(input.len()), bytes);
}

/// Another number or word in the place of one of a text.
fn token(input: &mut Vec<u8>, random: &mut Random) {
    let start = random.below(input.len());
    let digit = |byte: &u8| byte.is_ascii_alphanumeric();
    let Some(start) = input.iter().skip(start).position(digit).map(|ahead| start + ahead) else { return };
    let start = input.iter().take(start).rposition(|byte| !digit(byte)).map_or(0, |before| before + 1);
    let end = input.iter().skip(start).position(|byte| !digit(byte)).map_or(input.len(), |length| start + length);
    let number = EDGES.get(random.below(EDGES.len())).copied().unwrap_or(0);
    let old = input.get(start..end).unwrap_or_default();
    let new = if old.starts_with(b"0x") {
        // An element or a byte string: zero, one, the largest, or that of another place with its digits turned.
        let fill = [b'0', b'f', b'1'].get(random.below(3)).copied().unwrap_or(b'0');
        let mut new = old.to_vec();
        let kept = if random.below(2) == 0 { new.len().saturating_sub(1) } else { 2 };
        new.iter_mut().skip(kept).for_each(|byte| *byte = fill);
        new
    } else if random.below(4) == 0 {
        WORDS.get(random.below(WORDS.len())).map_or(Vec::new(), |word| word.to_vec())
    } else {
        number.to_string().into_bytes()
    };
    input.splice(start..end, new);
}

fn word(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    let word = WORDS.get(random.below(WORDS.len())).copied().unwrap_or_default();
    input.splice(at..at, word.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder with the fault that mutations exist to find: it trusts a length.
    fn toy(data: &[u8]) {
        if let Some((length, rest)) = data.split_first() {
            assert!(usize::from(*length) <= rest.len(), "the toy trusted a length");
        }
    }

    #[test]
    fn a_decoder_that_panics_is_caught_with_its_input() {
        let failure = exercise(toy, &[vec![2, 7, 7]], &mut Random::of("toy"), Duration::from_secs(20)).unwrap_err();
        assert_eq!(failure.message, "the toy trusted a length");
        assert!(attempt(toy, &failure.input).is_err(), "the input fails again");
        assert!(attempt(toy, &[0]).is_ok());
    }

    #[test]
    fn a_sound_decoder_passes_and_a_bad_seed_fails() {
        let rounds = exercise(|_| {}, &[vec![1]], &mut Random::of("x"), Duration::from_millis(5)).unwrap();
        assert!(rounds > 1, "{rounds}");
        let failure = exercise(toy, &[vec![9]], &mut Random::of("x"), Duration::ZERO).unwrap_err();
        assert_eq!(failure.input, [9]);
    }

    #[test]
    fn a_seed_gives_the_same_inputs_again() {
        let inputs = |seed| {
            let mut random = Random::of(seed);
            (0..50).map(|_| mutated(&[b"{\"a\":17}".to_vec(), vec![0; 40]], &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(inputs("a"), inputs("a"));
        assert_ne!(inputs("a"), inputs("b"));
    }
}
