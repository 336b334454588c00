//! Field, curve and polynomial arithmetic, and a prover, on the vector unit of x86-64 processors with AVX-512 IFMA
//! (docs/adr/0004).

mod fft;
mod lanes;
mod msm;
mod parts;
mod polynomial;
mod program;
mod prove;
mod shplonk;

pub use lanes::Ifma;
pub use parts::Parts;
pub use prove::VectorKey;
