//! Field, curve and polynomial arithmetic, and a prover, on the vector unit of x86-64 processors with AVX-512 IFMA.

mod fft;
mod lanes;
mod msm;
mod polynomial;
mod program;
mod prove;
mod shplonk;

pub use prove::VectorKey;
