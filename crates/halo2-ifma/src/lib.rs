//! halo2 proofs (KZG over BN254, SHPLONK) on the vector unit of x86-64 processors with AVX-512 IFMA.
//!
//! [`VectorKey::prove`] takes the columns of a witness and writes the messages that
//! `halo2_proofs::plonk::create_proof` would write for them and the same random choices, several times faster;
//! halo2's verifiers, and contracts made from the same verifying key, accept them. [`portable::prove`] takes the same
//! columns to halo2's own prover, for all other processors. The crate's `README.md` says how to use both, and why the
//! fast one needs no trust.
//!
//! Values are elements of BN254's scalar field; a column is a `Vec` of them, one a row, without the rows after the
//! last one in use.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod error;
pub mod portable;
mod transcript;
pub mod witness;

#[cfg(target_arch = "x86_64")]
mod arguments;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod fft;
#[cfg(target_arch = "x86_64")]
mod identities;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod key;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod msm;
#[cfg(target_arch = "x86_64")]
mod opening;
#[cfg(target_arch = "x86_64")]
mod parts;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod polynomial;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod program;
#[cfg(target_arch = "x86_64")]
mod prove;
#[cfg(target_arch = "x86_64")]
mod quotient;
#[cfg(target_arch = "x86_64")]
mod shplonk;

pub use error::{ProveError, Unsupported};
#[cfg(target_arch = "x86_64")]
pub use key::VectorKey;
#[cfg(target_arch = "x86_64")]
pub use lanes::Ifma;
#[cfg(target_arch = "x86_64")]
pub use parts::Parts;
