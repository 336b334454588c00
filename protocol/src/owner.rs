//! An owner, as leaves and notes commit to it: a spending key, and the secret that makes certificate nullifiers
//! (`docs/spec/operations.md`).

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{
    field::{Fr, hex_fr, reduce},
    poseidon::{DomainTag, hash4, sponge},
    schnorr::{PublicKey, SecretKey},
};
use ark_ff::AdditiveGroup;

/// Public half of an owner: the Schnorr key and `n`, the commitment of the nullifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerKey {
    /// Signs operations.
    pub key: PublicKey,
    /// `n = Sponge(NULLIFIER_KEY, nk)`.
    #[serde(with = "hex_fr")]
    pub nullifier: Fr,
}

impl OwnerKey {
    /// `owner = P(x, y, n, 0)`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let (x, y) = self.key.xy();
        hash4([x, y, self.nullifier, Fr::ZERO])
    }
}

/// `nk`: whoever knows it can tell which notes of its owner are spent, but spends nothing without the signing key.
/// Wiped on drop.
#[derive(Clone)]
pub struct NullifierKey(Fr);

impl Drop for NullifierKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for NullifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NullifierKey(32 bytes)")
    }
}

impl NullifierKey {
    /// Derived from the owner's signing key, so that one backup holds both.
    #[must_use]
    pub fn of(secret: &SecretKey) -> Self {
        let mut wide = [0u8; 64];
        let mut bytes = secret.to_bytes();
        blake3::Hasher::new_derive_key("gridveil nullifier key v1").update(&bytes).finalize_xof().fill(&mut wide);
        let key = Self(reduce(&wide));
        bytes.zeroize();
        wide.zeroize();
        key
    }

    /// The secret element, for the witness of a certificate statement.
    #[must_use]
    pub const fn element(&self) -> Fr {
        self.0
    }

    /// `n`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        sponge(DomainTag::NullifierKey, &[self.0])
    }

    /// Nullifier of a note commitment.
    #[must_use]
    pub fn nullifier(&self, note: Fr) -> Fr {
        sponge(DomainTag::Nullifier, &[self.0, note])
    }
}

/// The public half of the owner with this signing key.
#[must_use]
pub fn owner_of(secret: &SecretKey) -> OwnerKey {
    OwnerKey { key: secret.public(), nullifier: NullifierKey::of(secret).commitment() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::to_bytes;

    #[test]
    fn the_commitment_binds_both_keys_and_debug_shows_none() {
        let (a, b) = (SecretKey::from_seed(&[1; 64]), SecretKey::from_seed(&[2; 64]));
        let owner = owner_of(&a);
        assert_ne!(owner.commitment(), OwnerKey { nullifier: NullifierKey::of(&b).commitment(), ..owner }.commitment());
        assert_ne!(owner.commitment(), OwnerKey { key: b.public(), ..owner }.commitment());
        let shown = format!("{:?}", NullifierKey::of(&a));
        assert!(!shown.contains(&hex::encode(to_bytes(&NullifierKey::of(&a).element()))));
    }
}
