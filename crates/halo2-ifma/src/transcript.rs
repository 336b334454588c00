//! The transcript as the prover sees it.

use std::{io, marker::PhantomData};

use halo2_proofs::transcript::{EncodedChallenge, TranscriptWrite};
use halo2curves::bn256::{Fr, G1Affine};

/// A transcript behind a pointer: halo2's trait has a type parameter for its challenges, and the prover would be
/// compiled again in every crate that names another one, with whatever optimisation that crate has.
pub(crate) trait Messages {
    /// Part of the statement: hashed, not written.
    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()>;
    /// A commitment.
    fn point(&mut self, point: G1Affine) -> io::Result<()>;
    /// An evaluation.
    fn scalar(&mut self, scalar: Fr) -> io::Result<()>;
    /// The verifier's next challenge.
    fn challenge(&mut self) -> Fr;

    /// Commitments, in order.
    fn points(&mut self, points: &[G1Affine]) -> io::Result<()> {
        points.iter().try_for_each(|point| self.point(*point))
    }
}

/// A transcript of halo2's.
pub(crate) struct Written<'a, E, T>(&'a mut T, PhantomData<E>);

impl<'a, E, T> Written<'a, E, T> {
    pub(crate) const fn new(transcript: &'a mut T) -> Self {
        Self(transcript, PhantomData)
    }
}

impl<E: EncodedChallenge<G1Affine>, T: TranscriptWrite<G1Affine, E>> Messages for Written<'_, E, T> {
    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.0.common_scalar(scalar)
    }

    fn point(&mut self, point: G1Affine) -> io::Result<()> {
        self.0.write_point(point)
    }

    fn scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.0.write_scalar(scalar)
    }

    fn challenge(&mut self) -> Fr {
        *self.0.squeeze_challenge_scalar::<()>()
    }
}
