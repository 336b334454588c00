//! Field, curve and polynomial arithmetic on the vector unit of x86-64 processors with AVX-512 IFMA.

pub mod fft;
pub mod lanes;
