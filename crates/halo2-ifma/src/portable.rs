//! halo2's own prover, behind the interface of the vector unit's: for processors without the instructions, and to
//! compare.

use halo2_proofs::{
    plonk::{ProvingKey, create_proof_from_advice},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::ProverSHPLONK,
    },
    transcript::{EncodedChallenge, TranscriptWrite},
};
use halo2curves::bn256::{Bn256, Fr, G1Affine};
use rand::{CryptoRng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::{ProveError, witness};

/// Writes a proof of the witness in `advice` (one vector a column, at most as long as the usable rows) and of the
/// public inputs in `instance`. It is not checked, and callers check it: a prover handed a false witness makes a false
/// proof without a word.
///
/// `rng` seeds the generator of the blinding: it must not be predictable.
///
/// # Errors
/// [`ProveError`].
///
/// # Panics
/// Where halo2 does, for instance if a looked-up value is not in its table. The message may hold values of the witness.
pub fn prove<E, T>(
    pk: &ProvingKey<G1Affine>,
    params: &ParamsKZG<Bn256>,
    mut advice: Vec<Vec<Fr>>,
    instance: &[Fr],
    rng: impl RngCore + CryptoRng,
    transcript: &mut T,
) -> Result<(), ProveError>
where
    E: EncodedChallenge<G1Affine>,
    T: TranscriptWrite<G1Affine, E>,
{
    let n = pk.l0().len();
    witness::check(pk.get_vk().cs(), n, &advice, instance)?;
    for column in &mut advice {
        column.resize(n, Fr::zero());
    }
    let rng = ChaCha20Rng::from_rng(rng).map_err(|_| ProveError::Randomness)?;
    create_proof_from_advice::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _>(
        params,
        pk,
        &[instance],
        advice,
        rng,
        transcript,
    )?;
    Ok(())
}
