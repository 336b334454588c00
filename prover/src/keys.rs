//! Proving and verifying keys, made once and kept on disk.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use halo2_proofs::{SerdeFormat, plonk::VerifyingKey};
use halo2curves::bn256::G1Affine;

use crate::{
    engine::Material,
    progress::Progress,
    proof::{ProofError, caught},
    srs::{Params, SrsId},
    statement::Statement,
    store::{self, StoreError},
};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Key generation.
    #[error("key generation for {shape}: {source}")]
    Keygen {
        /// Size of the circuit.
        shape: &'static str,
        /// Reason.
        source: ProofError,
    },
    /// The cache.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A verifying key, and how it was come by.
#[derive(Debug)]
pub struct Keys {
    /// Verifying key.
    pub vk: VerifyingKey<G1Affine>,
    /// Digest of the circuit's layout.
    pub layout: blake3::Hash,
    /// Made now, or read from the cache.
    pub made: bool,
    /// How long that took, without writing the cache.
    pub took: Duration,
}

/// Where keys are kept: circuit, version, shape, parameters and layout name a file.
#[derive(Clone, Debug)]
pub struct KeyStore {
    dir: PathBuf,
}

impl KeyStore {
    /// Keys under `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// File of one proving key.
    #[must_use]
    pub fn file<S: Statement>(&self, size: &S::Params, srs: &SrsId, layout: &blake3::Hash) -> PathBuf {
        let digest = layout.to_hex();
        self.dir.join(format!(
            "pk-{}-v{}-{}-{srs}-{}.bin",
            S::NAME,
            S::version(size),
            S::size_name(size),
            digest.get(..16).unwrap_or_default()
        ))
    }

    /// The keys of a size: from the cache if they are whole, else made and cached.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open<S: Statement>(
        &self,
        size: S::Params,
        params: &Params,
        srs: &SrsId,
        progress: &dyn Progress,
    ) -> Result<(Keys, Material), KeyError> {
        let (start, name) = (Instant::now(), S::size_name(&size));
        let keygen = |source| KeyError::Keygen { shape: name, source };
        progress.stage("laying out the circuit", name);
        let template = caught(|| Ok(S::template(size))).map_err(keygen)?;
        let layout = caught(|| Ok(template.layout(S::k(&size))?)).map_err(keygen)?;
        let file = self.file::<S>(&size, srs, &layout);
        let label =
            format!("gridveil pk 1 {} v{} {} {srs} {layout} {}", S::NAME, S::version(&size), name, fingerprint(params));
        match store::open(&file, &label) {
            Ok(Some(mut reader)) => {
                progress.stage("reading keys", name);
                drop(template);
                let material = Material::read::<S>(&mut reader, size).map_err(StoreError::io(&file))?;
                return Ok((Keys { vk: material.vk().clone(), layout, made: false, took: start.elapsed() }, material));
            }
            Ok(None) => {}
            Err(StoreError::Corrupt { path, what }) => {
                tracing::warn!(path = %path.display(), what, "keys are made again")
            }
            Err(error) => return Err(error.into()),
        }
        progress.stage("making keys", name);
        let pk = caught(|| Ok(template.proving_key(params)?)).map_err(keygen)?;
        let took = start.elapsed();
        progress.stage("writing keys", name);
        store::write(&file, &label, |mut writer| pk.write(&mut writer, SerdeFormat::RawBytesUnchecked))?;
        let material = Material::of(pk);
        Ok((Keys { vk: material.vk().clone(), layout, made: true, took }, material))
    }
}

/// The verifying key alone, without a cache.
///
/// # Errors
/// [`KeyError::Keygen`].
pub fn verifying_key<S: Statement>(size: S::Params, params: &Params) -> Result<VerifyingKey<G1Affine>, KeyError> {
    caught(|| Ok(S::template(size).verifying_key(params)?))
        .map_err(|source| KeyError::Keygen { shape: S::size_name(&size), source })
}

/// Ties keys to the very parameters they were made with.
fn fingerprint(params: &Params) -> blake3::Hash {
    use halo2curves::serde::SerdeObject;
    blake3::hash(&params.s_g2().to_raw_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Engine,
        progress::Silent,
        srs::{Srs, SrsSource, dev},
        statement::toy::{K, Toy},
    };
    use gridveil_circuits::{verify::Verifier, version::SettlementSize};
    use gridveil_protocol::params::SHAPES;
    use std::fs;

    #[test]
    fn keys_are_cached_by_what_they_depend_on_and_rebuilt_if_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let srs = Srs::for_chain(31_337, SrsSource::InsecureDev, dir.path()).unwrap().id();
        let (params, store) = (dev::params(K), KeyStore::new(dir.path()));
        let size = |shape: usize| SettlementSize::current(SHAPES[shape]);
        let open = |shape: usize| store.open::<Toy>(size(shape), &params, &srs, &Silent).unwrap();
        let (first, _) = open(0);
        let (again, pk) = open(0);
        assert_eq!((first.made, again.made), (true, false));
        assert_eq!(first.vk.transcript_repr(), again.vk.transcript_repr());
        assert_ne!(first.layout, open(1).0.layout, "shapes have their own keys");

        let circuit = Toy::template(size(0));
        let (small, engine) = Engine::new(std::sync::Arc::new(params.clone()), pk).unwrap();
        let proof = engine.prove(&small, circuit.clone(), &circuit.instance()).unwrap();
        let verifier = Verifier::new(first.vk.clone(), std::sync::Arc::new(params.clone()), Toy::ROWS);
        verifier.verify_elements(&circuit.instance(), &proof).unwrap();

        let file = store.file::<Toy>(&size(0), &srs, &first.layout);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&file, &bytes).unwrap();
        assert!(open(0).0.made, "a flipped bit is not loaded");
        fs::write(&file, &bytes[..middle]).unwrap();
        assert!(open(0).0.made, "nor half a file");
        // Another shape's file in its place.
        fs::copy(store.file::<Toy>(&size(1), &srs, &open(1).0.layout), &file).unwrap();
        assert!(open(0).0.made);
        assert!(!open(0).0.made);
    }
}
