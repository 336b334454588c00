//! The parameter store: KZG parameters of the right trust for a chain, made or loaded once and kept on disk.
//!
//! Two sources. A ceremony's powers of tau ([`ptau`]) for every chain; the development setup ([`dev`]), whose secret is
//! public, for the chain [`LOCAL_CHAIN_ID`] and no other.

pub mod ceremony;
pub mod dev;
pub mod ptau;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use halo2_proofs::{SerdeFormat, poly::kzg::commitment::ParamsKZG};
use halo2curves::bn256::{Bn256, G1Affine, G2Affine};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::{
    progress::Progress,
    store::{self, StoreError},
};
use ptau::PtauError;

/// Parameters over BN254.
pub type Params = ParamsKZG<Bn256>;

/// The chain on which proofs under the development setup are allowed: anvil's own, as in the contracts. Others call 1337
/// local, which is also the number of networks that people share.
pub const LOCAL_CHAIN_ID: u64 = 31_337;

/// Largest size that is made or loaded (2^24 rows are 4 GiB of parameters).
pub const MAX_K: u32 = 24;

/// Where parameters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SrsSource {
    /// The development setup: proofs under it prove nothing.
    InsecureDev,
    /// A powers-of-tau ceremony file.
    Ptau {
        /// `.ptau` file.
        path: PathBuf,
        /// BLAKE2b-512 of the whole file.
        blake2b_512: [u8; 64],
    },
}

/// Why there are no parameters.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    /// The development setup on a chain others rely on.
    #[error(
        "chain {chain_id} is not the local chain ({LOCAL_CHAIN_ID}): its proofs need a ceremony file, not the INSECURE development setup (operator)"
    )]
    InsecureOnPublicChain {
        /// Chain.
        chain_id: u64,
    },
    /// A size nobody asks for.
    #[error("parameters of 2^{k} rows: between 2^1 and 2^{MAX_K} are supported")]
    Size {
        /// log2 of the rows.
        k: u32,
    },
    /// The ceremony file.
    #[error("{path}: {source}")]
    Ptau {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        source: PtauError,
    },
    /// A hash that is none.
    #[error("the hash of a ceremony file (BLAKE2b-512, as b2sum prints it) has 128 hex digits")]
    Pin,
    /// Nobody says which hash the file should have.
    #[error(
        "{path}: no published hash of a ceremony of this power is known: give --ptau-blake2b, the file's BLAKE2b-512 as its makers publish it"
    )]
    Unpinned {
        /// File.
        path: PathBuf,
    },
    /// The cache.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SrsSource {
    /// A ceremony file with its hash in hex, or with the published one of its power; without a file, the development
    /// setup.
    ///
    /// # Errors
    /// [`SrsError`].
    pub fn pinned(ptau: Option<&Path>, blake2b: Option<&str>) -> Result<Self, SrsError> {
        let Some(path) = ptau else { return Ok(Self::InsecureDev) };
        let path = path.to_path_buf();
        let blake2b_512 = match blake2b {
            Some(digits) => {
                let mut hash = [0; 64];
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                hex::decode_to_slice(digits, &mut hash).map_err(|_| SrsError::Pin)?;
                hash
            }
            None => match ptau::published_for(&path) {
                Ok(published) => published.ok_or_else(|| SrsError::Unpinned { path: path.clone() })?,
                Err(source) => return Err(SrsError::Ptau { path, source }),
            },
        };
        Ok(Self::Ptau { path, blake2b_512 })
    }
}

/// Identity of a setup, in file names and logs: `INSECURE-dev` or `ptau-` and 16 hex digits of the file's hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SrsId(String);

impl fmt::Display for SrsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parameters one chain's proofs are made with.
#[derive(Clone, Debug)]
pub struct Srs {
    source: SrsSource,
    dir: PathBuf,
}

impl Srs {
    /// Parameters for a chain, kept under `dir`.
    ///
    /// # Errors
    /// [`SrsError::InsecureOnPublicChain`] for the development setup on any chain that is not local.
    pub fn for_chain(chain_id: u64, source: SrsSource, dir: &Path) -> Result<Self, SrsError> {
        if source == SrsSource::InsecureDev {
            if chain_id != LOCAL_CHAIN_ID {
                return Err(SrsError::InsecureOnPublicChain { chain_id });
            }
            tracing::warn!(
                chain_id,
                "INSECURE development parameters: anyone can forge proofs under them; local chains only"
            );
        }
        Ok(Self { source, dir: dir.to_path_buf() })
    }

    /// Identity.
    #[must_use]
    pub fn id(&self) -> SrsId {
        match &self.source {
            SrsSource::InsecureDev => SrsId("INSECURE-dev".into()),
            SrsSource::Ptau { blake2b_512, .. } => {
                SrsId(format!("ptau-{}", hex::encode(blake2b_512.get(..8).unwrap_or_default())))
            }
        }
    }

    /// Is this the development setup?
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.source == SrsSource::InsecureDev
    }

    /// Where parameters of size `2^k` are kept.
    #[must_use]
    pub fn file(&self, k: u32) -> PathBuf {
        self.dir.join(format!("srs-{}-k{k}.bin", self.id()))
    }

    /// What the kept file is labelled with: the whole identity, the source's hash included.
    fn label(&self, k: u32) -> String {
        match &self.source {
            SrsSource::InsecureDev => format!("gridveil srs 1 INSECURE-dev {} k={k}", hex::encode(dev::SEED)),
            SrsSource::Ptau { blake2b_512, .. } => format!("gridveil srs 1 ptau {} k={k}", hex::encode(blake2b_512)),
        }
    }

    /// Parameters of size `2^k`: from the cache if it is whole, else made or loaded and cached.
    ///
    /// # Errors
    /// [`SrsError`].
    pub fn params(&self, k: u32, progress: &dyn Progress) -> Result<Arc<Params>, SrsError> {
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::Size { k });
        }
        let (file, label) = (self.file(k), self.label(k));
        match store::open(&file, &label) {
            Ok(Some(mut reader)) => {
                progress.stage("reading parameters", &format!("{}, k={k}", self.id()));
                let params =
                    Params::read_custom(&mut reader, SerdeFormat::RawBytesUnchecked).map_err(StoreError::io(&file))?;
                return Ok(Arc::new(params));
            }
            Ok(None) => {}
            Err(StoreError::Corrupt { path, what }) => {
                tracing::warn!(path = %path.display(), what, "parameters are made again")
            }
            Err(error) => return Err(error.into()),
        }
        let params = self.make(k, progress)?;
        store::write(&file, &label, |mut writer| params.write_custom(&mut writer, SerdeFormat::RawBytesUnchecked))?;
        Ok(Arc::new(params))
    }

    fn make(&self, k: u32, progress: &dyn Progress) -> Result<Params, SrsError> {
        match &self.source {
            SrsSource::InsecureDev => {
                progress.stage("making INSECURE development parameters", &format!("k={k}"));
                Ok(dev::params(k))
            }
            SrsSource::Ptau { path, blake2b_512 } => ptau::load(path, blake2b_512, k, progress)
                .map_err(|source| SrsError::Ptau { path: path.clone(), source }),
        }
    }
}

/// Parameters from their points; computes the Lagrange form if it is not given.
pub(crate) fn assemble(
    k: u32,
    g: Vec<G1Affine>,
    g_lagrange: Option<Vec<G1Affine>>,
    g2: G2Affine,
    s_g2: G2Affine,
) -> Params {
    // `from_parts` takes a receiver it does not read.
    Params::setup(1, ChaCha20Rng::from_seed([0; 32])).from_parts(k, g, g_lagrange, g2, s_g2)
}

/// What a verifier needs of the parameters: three points.
#[must_use]
pub fn verifier_params(params: &Params) -> Params {
    use halo2_proofs::poly::commitment::{Params as _, ParamsProver};
    let first = params.get_g().iter().take(1).copied().collect();
    assemble(params.k(), first, Some(Vec::new()), params.g2(), params.s_g2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use halo2_proofs::poly::commitment::{Params as _, ParamsProver};
    use std::fs;

    pub(crate) fn bytes(params: &Params) -> Vec<u8> {
        let mut out = Vec::new();
        params.write_custom(&mut out, SerdeFormat::RawBytes).unwrap();
        out
    }

    #[test]
    fn the_development_setup_is_refused_on_every_chain_but_the_local_one() {
        let dir = tempfile::tempdir().unwrap();
        for chain_id in [1, 10, 137, 1337, 8453, 42_161, 11_155_111, 31_336, 0, u64::MAX] {
            let refused = Srs::for_chain(chain_id, SrsSource::InsecureDev, dir.path());
            assert!(matches!(refused, Err(SrsError::InsecureOnPublicChain { chain_id: id }) if id == chain_id));
            let ceremony = SrsSource::Ptau { path: "x".into(), blake2b_512: [0; 64] };
            assert!(Srs::for_chain(chain_id, ceremony, dir.path()).is_ok());
        }
        let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, dir.path()).unwrap();
        assert!(srs.is_insecure() && srs.file(9).to_string_lossy().contains("INSECURE"));
    }

    #[test]
    fn a_damaged_cache_is_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        let srs = Srs::for_chain(31_337, SrsSource::InsecureDev, dir.path()).unwrap();
        let made = srs.params(5, &Silent).unwrap();
        let kept = fs::read(srs.file(5)).unwrap();
        assert_eq!(bytes(&srs.params(5, &Silent).unwrap()), bytes(&made), "read back");
        for bad in
            [kept[..kept.len() / 2].to_vec(), [&kept[..100], &[kept[100] ^ 1], &kept[101..]].concat(), Vec::new()]
        {
            fs::write(srs.file(5), bad).unwrap();
            assert_eq!(bytes(&srs.params(5, &Silent).unwrap()), bytes(&made));
            assert_eq!(fs::read(srs.file(5)).unwrap(), kept, "and written again");
        }
        // A file of another size in its place.
        srs.params(4, &Silent).unwrap();
        fs::copy(srs.file(4), srs.file(5)).unwrap();
        assert_eq!(srs.params(5, &Silent).unwrap().k(), 5);
        assert!(matches!(srs.params(0, &Silent), Err(SrsError::Size { k: 0 })));
        assert!(matches!(srs.params(40, &Silent), Err(SrsError::Size { k: 40 })));
    }

    #[test]
    fn a_verifier_needs_three_points() {
        let params = dev::params(4);
        let small = verifier_params(&params);
        assert_eq!(
            (small.get_g(), small.g2(), small.s_g2(), small.k()),
            (&params.get_g()[..1], params.g2(), params.s_g2(), 4)
        );
    }
}
