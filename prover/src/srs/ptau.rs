//! Powers-of-tau ceremony files (`.ptau`, snarkjs).
//!
//! The format: `"ptau"`, version u32 = 1, number of sections u32; then sections: type u32, bytes u64, contents; all
//! little-endian. Section 1 is the header (field bytes u32 = 32, field prime, power u32, ceremony power u32), section 2
//! the 2^(power+1) - 1 powers `tau^i G1`, section 3 the 2^power powers `tau^i G2`; the others (alpha, beta,
//! contributions, Lagrange forms) are not read. Points are affine, coordinates Montgomery with R = 2^256, which is also
//! how `halo2curves` holds them.
//!
//! The file is accepted by its pinned hash; its contents are checked nevertheless (curve, subgroup through the pairing,
//! one tau throughout), so a wrong pin does not become an unsound proof system.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use blake2::{Blake2b512, Digest};
use halo2_proofs::arithmetic::best_multiexp;
use halo2curves::{
    CurveAffine,
    bn256::{Fr, G1Affine, G2Affine, pairing},
    ff::{Field, PrimeField},
    group::Curve,
    serde::SerdeObject,
};
use rand::{RngCore, rngs::OsRng};

use super::{Params, assemble};
use crate::progress::Progress;

pub(super) const MAGIC: &[u8; 4] = b"ptau";
pub(super) const VERSION: u32 = 1;
const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const G1_BYTES: u64 = 64;
const G2_BYTES: u64 = 128;
const MAX_POWER: u32 = 28;
const MAX_SECTIONS: u32 = 64;
/// BN254's base field, little-endian.
pub(super) const PRIME: [u8; 32] = [
    0x47, 0xfd, 0x7c, 0xd8, 0x16, 0x8c, 0x20, 0x3c, 0x8d, 0xca, 0x71, 0x68, 0x91, 0x6a, 0x81, 0x97, 0x5d, 0x58, 0x81,
    0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];

/// Published BLAKE2b-512 hashes of the Hermez / perpetual powers of tau files (`powersOfTau28_hez_final_NN.ptau`; the
/// table of snarkjs' README), by power: so that the operator names a file only.
pub const PUBLISHED: [(u32, &str); 5] = [
    (
        15,
        "982372c867d229c236091f767e703253249a9b432c1710b4f326306bfa2428a17b06240359606cfe4d580b10a5a1f63fbed499527069c18ae17060472969ae6e",
    ),
    (
        16,
        "6a6277a2f74e1073601b4f9fed6e1e55226917efb0f0db8a07d98ab01df1ccf43eb0e8c3159432acd4960e2f29fe84a4198501fa54c8dad9e43297453efec125",
    ),
    (
        17,
        "6247a3433948b35fbfae414fa5a9355bfb45f56efa7ab4929e669264a0258976741dfbe3288bfb49828e5df02c2e633df38d2245e30162ae7e3bcca5b8b49345",
    ),
    (
        18,
        "7e6a9c2e5f05179ddfc923f38f917c9e6831d16922a902b0b4758b8e79c2ab8a81bb5f29952e16ee6c5067ed044d7857b5de120a90704c1d3b637fd94b95b13e",
    ),
    (
        20,
        "89a66eb5590a1c94e3f1ee0e72acf49b1669e050bb5f93c73b066b564dca4e0c7556a52b323178269d64af325d8fdddb33da3a27c34409b821de82aa2bf1a27b",
    ),
];

/// The published hash of the Hermez file of that power.
#[must_use]
pub fn published(power: u32) -> Option<[u8; 64]> {
    let (_, digits) = PUBLISHED.into_iter().find(|(p, _)| *p == power)?;
    let mut hash = [0; 64];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some(hash)
}

/// The published hash of the power that a file's header claims: what a file is pinned to if nobody pins it by hand.
///
/// # Errors
/// [`PtauError`] if it is not a ceremony file.
pub fn published_for(path: &Path) -> Result<Option<[u8; 64]>, PtauError> {
    let mut reader = BufReader::new(File::open(path)?);
    let [header, ..] = sections(&mut reader)?;
    Ok(published(read_power(&mut reader, header)?))
}

/// Why a ceremony file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PtauError {
    /// The operating system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not the pinned file.
    #[error("BLAKE2b-512 is {got}, pinned is {expected}")]
    Hash {
        /// Pinned.
        expected: String,
        /// The file's.
        got: String,
    },
    /// Not a ptau file of version 1.
    #[error("not a ptau file of version 1")]
    Magic,
    /// Sections do not add up.
    #[error("section {section}: {what}")]
    Section {
        /// Type.
        section: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// Another curve.
    #[error("the ceremony is over another curve than BN254")]
    Prime,
    /// Fewer powers than asked for.
    #[error("the ceremony holds 2^{power} powers, 2^{k} are needed")]
    TooSmall {
        /// Of the file.
        power: u32,
        /// Asked for.
        k: u32,
    },
    /// A coordinate out of range, a point off the curve, or the point at infinity.
    #[error("power {index} of section {section} is not a point of the curve")]
    Point {
        /// Type of section.
        section: u32,
        /// Which.
        index: usize,
    },
    /// The first powers are not the generators.
    #[error("the first power of section {section} is not the generator")]
    Generator {
        /// Type of section.
        section: u32,
    },
    /// The powers are not powers of one tau.
    #[error("the points are not powers of one tau")]
    Inconsistent,
    /// tau is 0 or 1.
    #[error("the tau of this file is trivial")]
    Trivial,
}

/// Loads the first `2^k` powers of a ceremony file, after checking its hash and its contents.
///
/// # Errors
/// [`PtauError`].
pub fn load(path: &Path, blake2b_512: &[u8; 64], k: u32, progress: &dyn Progress) -> Result<Params, PtauError> {
    let mut file = File::open(path)?;
    progress.stage("hashing the ceremony file", &path.display().to_string());
    check_hash(&mut file, blake2b_512)?;
    file.seek(SeekFrom::Start(0))?;
    let points = read(&mut BufReader::with_capacity(1 << 20, file), k)?;
    progress.stage("checking the powers of tau", &format!("k={k}"));
    points.check()?;
    progress.stage("computing the Lagrange form", &format!("k={k}"));
    Ok(assemble(k, points.g1, None, points.g2, points.s_g2))
}

fn check_hash(file: &mut File, expected: &[u8; 64]) -> Result<(), PtauError> {
    let mut hasher = Blake2b512::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(buffer.get(..length).unwrap_or_default());
    }
    let got = hasher.finalize();
    if got.as_slice() == expected {
        Ok(())
    } else {
        Err(PtauError::Hash { expected: hex::encode(expected), got: hex::encode(got) })
    }
}

struct Points {
    g1: Vec<G1Affine>,
    g2: G2Affine,
    s_g2: G2Affine,
}

#[derive(Clone, Copy)]
struct Section {
    start: u64,
    bytes: u64,
}

fn u32_le(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn u64_le(reader: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Positions of the sections this reader wants: header, powers in G1, powers in G2.
fn sections(reader: &mut (impl Read + Seek)) -> Result<[Section; 3], PtauError> {
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(0))?;
    let mut magic = [0; 4];
    let start = reader.read_exact(&mut magic).and_then(|()| Ok((u32_le(reader)?, u32_le(reader)?)));
    let count = match start {
        Ok((VERSION, count)) if &magic == MAGIC && count <= MAX_SECTIONS => count,
        _ => return Err(PtauError::Magic),
    };
    let mut found = [None; 3];
    for _ in 0..count {
        let section = u32_le(reader)?;
        let bytes = u64_le(reader)?;
        let start = reader.stream_position()?;
        let next = start.checked_add(bytes).filter(|next| *next <= end);
        let next = next.ok_or(PtauError::Section { section, what: "longer than the file" })?;
        let slot = section.checked_sub(HEADER).and_then(|i| found.get_mut(i as usize));
        if let Some(slot) = slot
            && slot.replace(Section { start, bytes }).is_some()
        {
            return Err(PtauError::Section { section, what: "given twice" });
        }
        reader.seek(SeekFrom::Start(next))?;
    }
    match found {
        [Some(header), Some(g1), Some(g2)] => Ok([header, g1, g2]),
        [header, g1, _] => {
            let section = if header.is_none() {
                HEADER
            } else if g1.is_none() {
                TAU_G1
            } else {
                TAU_G2
            };
            Err(PtauError::Section { section, what: "missing" })
        }
    }
}

fn read_power(reader: &mut (impl Read + Seek), header: Section) -> Result<u32, PtauError> {
    reader.seek(SeekFrom::Start(header.start))?;
    let wrong = |what| Err(PtauError::Section { section: HEADER, what });
    if header.bytes < 4 + 32 + 4 {
        return wrong("too short");
    }
    if u32_le(reader)? != 32 {
        return Err(PtauError::Prime);
    }
    let mut prime = [0; 32];
    reader.read_exact(&mut prime)?;
    if prime != PRIME {
        return Err(PtauError::Prime);
    }
    match u32_le(reader)? {
        power @ 1..=MAX_POWER => Ok(power),
        _ => wrong("power out of range"),
    }
}

fn read(reader: &mut (impl Read + Seek), k: u32) -> Result<Points, PtauError> {
    let [header, g1, g2] = sections(reader)?;
    let power = read_power(reader, header)?;
    let size = |section, got: Section, expected: u64| {
        if got.bytes == expected {
            Ok(())
        } else {
            Err(PtauError::Section { section, what: "not as long as the power says" })
        }
    };
    size(TAU_G1, g1, ((2u64 << power) - 1) * G1_BYTES)?;
    size(TAU_G2, g2, (1u64 << power) * G2_BYTES)?;
    if k > power {
        return Err(PtauError::TooSmall { power, k });
    }
    reader.seek(SeekFrom::Start(g1.start))?;
    let g1 = (0..1usize << k).map(|index| point::<G1Affine, 64>(reader, TAU_G1, index)).collect::<Result<_, _>>()?;
    reader.seek(SeekFrom::Start(g2.start))?;
    Ok(Points { g1, g2: point::<G2Affine, 128>(reader, TAU_G2, 0)?, s_g2: point::<G2Affine, 128>(reader, TAU_G2, 1)? })
}

fn point<C: CurveAffine + SerdeObject, const BYTES: usize>(
    reader: &mut impl Read,
    section: u32,
    index: usize,
) -> Result<C, PtauError> {
    let mut bytes = [0; BYTES];
    reader.read_exact(&mut bytes)?;
    let point = C::from_raw_bytes(&bytes).filter(|point| bool::from(point.is_on_curve() & !point.is_identity()));
    point.ok_or(PtauError::Point { section, index })
}

impl Points {
    /// The generators, then one tau throughout: for random r, `e(sum r_i g[i+1], g2) = e(sum r_i g[i], s_g2)`, which a
    /// file that is not the powers of one tau passes with probability below 2^-120. It also puts `s_g2` into the right
    /// subgroup, as the generators are.
    fn check(&self) -> Result<(), PtauError> {
        let (n, first) = (self.g1.len(), self.g1.first().copied());
        if first != Some(G1Affine::generator()) {
            return Err(PtauError::Generator { section: TAU_G1 });
        }
        if self.g2 != G2Affine::generator() {
            return Err(PtauError::Generator { section: TAU_G2 });
        }
        if self.s_g2 == self.g2 {
            return Err(PtauError::Trivial);
        }
        if !in_subgroup(&self.s_g2) {
            return Err(PtauError::Point { section: TAU_G2, index: 1 });
        }
        let random = || Fr::from_u128((u128::from(OsRng.next_u64()) << 64) | u128::from(OsRng.next_u64()));
        let weights: Vec<Fr> = (1..n).map(|_| random()).collect();
        let (Some(low), Some(high)) = (self.g1.get(..n - 1), self.g1.get(1..)) else {
            return Err(PtauError::Inconsistent);
        };
        let (low, high) = (best_multiexp(&weights, low).to_affine(), best_multiexp(&weights, high).to_affine());
        if pairing(&high, &self.g2) == pairing(&low, &self.s_g2) { Ok(()) } else { Err(PtauError::Inconsistent) }
    }
}

/// G2 has a cofactor: a point of the curve need not be in the group. `(r - 1) P = -P` exactly for points of order r.
fn in_subgroup(point: &G2Affine) -> bool {
    (point * -Fr::ONE).to_affine() == -*point
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{progress::Silent, srs::dev};
    use halo2_proofs::SerdeFormat;
    use halo2curves::bn256::{Fq, G1, G2};
    use std::path::PathBuf;

    const POWER: u32 = 8;

    fn bytes(params: &Params) -> Vec<u8> {
        let mut out = Vec::new();
        params.write_custom(&mut out, SerdeFormat::RawBytes).unwrap();
        out
    }

    /// A ceremony file of a tau.
    fn ceremony(tau: Fr) -> Vec<u8> {
        crate::srs::ceremony::file(tau, POWER)
    }

    const FIRST_SECTION: usize = 12;
    const HEADER_AT: usize = FIRST_SECTION + 12;
    const G1_AT: usize = HEADER_AT + 44 + 12;

    fn g2_at() -> usize {
        G1_AT + ((2 << POWER) - 1) * 64 + 12
    }

    fn put(file: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.ptau");
        std::fs::write(&path, file).unwrap();
        (dir, path)
    }

    fn load_pinned(file: &[u8], k: u32) -> Result<Params, PtauError> {
        let (_dir, path) = put(file);
        load(&path, &Blake2b512::digest(file).into(), k, &Silent)
    }

    #[test]
    fn a_ceremony_of_the_development_tau_is_the_development_setup() {
        let file = ceremony(dev::tau());
        for k in [1, 5, POWER] {
            assert_eq!(bytes(&load_pinned(&file, k).unwrap()), bytes(&dev::params(k)), "k = {k}");
        }
        assert!(matches!(load_pinned(&file, POWER + 1), Err(PtauError::TooSmall { power: POWER, k: 9 })));
    }

    #[test]
    fn only_the_pinned_file_is_read() {
        let file = ceremony(dev::tau());
        let (_dir, path) = put(&file);
        assert!(matches!(load(&path, &[7; 64], 4, &Silent), Err(PtauError::Hash { .. })));
        let other = [file.as_slice(), &[0]].concat();
        let (_dir, path) = put(&other);
        assert!(matches!(load(&path, &Blake2b512::digest(&file).into(), 4, &Silent), Err(PtauError::Hash { .. })));
    }

    #[test]
    fn truncated_and_malformed_files_are_refused_even_if_pinned() {
        let file = ceremony(dev::tau());
        for length in [0, 3, 8, 12, 20, HEADER_AT + 10, G1_AT + 100, g2_at() + 1, file.len() - 1] {
            assert!(load_pinned(&file[..length], 4).is_err(), "{length} bytes");
        }
        let edit = |at: usize, value: u8| {
            let mut bad = file.clone();
            bad[at] ^= value;
            load_pinned(&bad, 4)
        };
        assert!(matches!(edit(0, 1), Err(PtauError::Magic)));
        assert!(matches!(edit(4, 1), Err(PtauError::Magic)));
        assert!(
            matches!(edit(FIRST_SECTION, 3), Err(PtauError::Section { section: 2, .. })),
            "two sections of one type"
        );
        assert!(matches!(edit(FIRST_SECTION, 64), Err(PtauError::Section { section: HEADER, what: "missing" })));
        assert!(
            matches!(edit(FIRST_SECTION + 4 + 7, 0x80), Err(PtauError::Section { .. })),
            "section length overflows"
        );
        assert!(matches!(edit(HEADER_AT, 1), Err(PtauError::Prime)));
        assert!(matches!(edit(HEADER_AT + 4, 1), Err(PtauError::Prime)), "another prime");
        assert!(matches!(edit(HEADER_AT + 36, 1), Err(PtauError::Section { section: TAU_G1, .. })), "another power");
        assert!(matches!(edit(HEADER_AT + 38, 1), Err(PtauError::Section { section: HEADER, .. })), "absurd power");
    }

    #[test]
    fn bad_points_are_refused_even_if_pinned() {
        let file = ceremony(dev::tau());
        let with = |at: usize, contents: &[u8]| {
            let mut bad = file.clone();
            bad[at..at + contents.len()].copy_from_slice(contents);
            load_pinned(&bad, 4)
        };
        let at = |index: usize| G1_AT + 64 * index;
        assert!(
            matches!(with(at(3), &Fq::ONE.to_raw_bytes()), Err(PtauError::Point { section: TAU_G1, index: 3 })),
            "off the curve"
        );
        assert!(matches!(with(at(3), &[0; 64]), Err(PtauError::Point { section: TAU_G1, index: 3 })), "infinity");
        assert!(
            matches!(with(at(3), &[0xff; 32]), Err(PtauError::Point { section: TAU_G1, index: 3 })),
            "coordinate above the prime"
        );
        assert!(matches!(with(g2_at() + 128, &[0; 128]), Err(PtauError::Point { section: TAU_G2, index: 1 })));
        let wrong = (G1::generator() * Fr::from(5)).to_affine().to_raw_bytes();
        assert!(matches!(with(at(0), &wrong), Err(PtauError::Generator { section: TAU_G1 })));
        for index in [1, 7, 15] {
            assert!(matches!(with(at(index), &wrong), Err(PtauError::Inconsistent)), "power {index}");
        }
        // Powers of another tau on one side.
        let other = (G2::generator() * Fr::from(5)).to_affine().to_raw_bytes();
        assert!(matches!(with(g2_at() + 128, &other), Err(PtauError::Inconsistent)));
        assert!(matches!(with(g2_at(), &other), Err(PtauError::Generator { section: TAU_G2 })));
        assert!(matches!(load_pinned(&ceremony(Fr::ONE), 4), Err(PtauError::Trivial)));
        // A point that is not needed is not looked at.
        assert!(with(at(40), &wrong).is_ok());
    }

    #[test]
    fn a_point_of_the_twist_outside_the_group_is_refused() {
        // x = 1, 2, ... until x^3 + b is a square: a random point of the twist is outside the order-r subgroup
        // (cofactor ~ 2^254).
        use halo2curves::bn256::Fq2;
        let outside = (1u64..).find_map(|x| {
            let x = Fq2 { c0: Fq::from(x), c1: Fq::ZERO };
            let y: Option<Fq2> = (x.square() * x + G2Affine::b()).sqrt().into();
            y.and_then(|y| Option::<G2Affine>::from(G2Affine::from_xy(x, y)))
        });
        assert!(!in_subgroup(&outside.unwrap()));
        assert!(in_subgroup(&(G2::generator() * dev::tau()).to_affine()));
    }

    #[test]
    fn published_hashes_are_hashes() {
        assert!(PUBLISHED.iter().all(|(power, _)| published(*power).is_some()));
        assert_eq!(published(3), None);
    }
}
