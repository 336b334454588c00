//! A small powers-of-tau file of one's own, for rehearsals and tests: whoever makes it could keep its secret.

use std::path::Path;

use blake2::{Blake2b512, Digest};
use halo2curves::{
    bn256::{Fr, G2, G2Affine},
    ff::Field,
    group::{Curve, prime::PrimeCurveAffine},
    serde::SerdeObject,
};
use rand::rngs::OsRng;
use rayon::prelude::*;

use super::{
    SrsError, dev,
    ptau::{MAGIC, PRIME, VERSION},
};
use crate::store::write_atomic;

/// Largest power that is made: the file has 256 bytes a power.
pub const MAX_POWER: u32 = 19;

/// Writes a ceremony file of one contribution, with 2^`power` powers of a secret that is drawn here and kept nowhere.
/// Gives its BLAKE2b-512.
///
/// # Errors
/// [`SrsError::Size`] for a power of 0 or above [`MAX_POWER`]; the file cannot be written.
pub fn write(path: &Path, power: u32) -> Result<[u8; 64], SrsError> {
    if !(1..=MAX_POWER).contains(&power) {
        return Err(SrsError::Size { k: power });
    }
    let file = file(Fr::random(OsRng), power);
    write_atomic(path, &file)?;
    Ok(Blake2b512::digest(&file).into())
}

/// A ceremony file of a tau, with the sections a prepared snarkjs file has.
pub(super) fn file(tau: Fr, power: u32) -> Vec<u8> {
    let n = 1usize << power;
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(power * tau)).take(2 * n - 1).collect();
    let g1: Vec<u8> = dev::multiples(&dev::table(), &powers).iter().flat_map(SerdeObject::to_raw_bytes).collect();
    let multiples: Vec<G2> = powers.par_iter().take(n).map(|power| G2::generator() * power).collect();
    let mut g2 = vec![G2Affine::identity(); n];
    G2::batch_normalize(&multiples, &mut g2);
    let g2: Vec<u8> = g2.iter().flat_map(SerdeObject::to_raw_bytes).collect();
    let header = [32u32.to_le_bytes().as_slice(), &PRIME, &power.to_le_bytes(), &28u32.to_le_bytes()].concat();
    // alpha and beta sections and contributions: present, not read.
    let not_read = g1.get(..n * 64).unwrap_or_default().to_vec();
    let sections: [(u32, Vec<u8>); 7] =
        [(1, header), (2, g1), (3, g2), (4, not_read.clone()), (5, not_read), (6, vec![0; 128]), (7, vec![0; 4])];
    let mut file = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &7u32.to_le_bytes()].concat();
    for (section, contents) in sections {
        file.extend(section.to_le_bytes());
        file.extend((contents.len() as u64).to_le_bytes());
        file.extend(contents);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        progress::Silent,
        srs::{Srs, SrsSource},
    };

    #[test]
    fn a_ceremony_of_ones_own_is_read_and_is_another_one_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let path = dir.path().join(name);
            let blake2b_512 = write(&path, 6).unwrap();
            let srs = Srs::for_chain(1, SrsSource::Ptau { path, blake2b_512 }, dir.path()).unwrap();
            srs.params(5, &Silent).unwrap().s_g2()
        };
        let (first, second) = (made("a.ptau"), made("b.ptau"));
        assert!(first != second && first != dev::params(5).s_g2());
        assert!(matches!(write(&dir.path().join("c.ptau"), 0), Err(SrsError::Size { k: 0 })));
        assert!(matches!(write(&dir.path().join("c.ptau"), 20), Err(SrsError::Size { k: 20 })));
    }
}
