//! Which circuit a settlement is proved by.
//!
//! A version names a circuit in every shape, and with it keys, verifier contracts and the domain of every statement.
//! What was signed for one version is void in another. A version belongs to a deployment and to a batch, not to a
//! program. A program lists the versions it knows (`gridveil_circuits::version`).

use serde::{Deserialize, Serialize};

/// Version of a circuit. Settlement circuits are numbered from 1, certificate circuits from 1,000,001
/// ([`crate::certificate::CERTIFICATE_VERSION`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CircuitVersion(u64);

impl CircuitVersion {
    /// Operations, certificates, corrections.
    pub const V2: Self = Self(2);
    /// The version that a new deployment begins with.
    pub const CURRENT: Self = Self::V2;

    /// Version of a number, whether any circuit has it or not.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Default for CircuitVersion {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl From<u32> for CircuitVersion {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl std::fmt::Display for CircuitVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
