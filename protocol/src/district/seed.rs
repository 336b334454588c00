//! Seeds: where salts and masks of a leaf come from (SETTLE.12 and STATE of version 3).
//!
//! A leaf holds a seed. In each batch of its district the settlement takes salts and masks from it, and puts the next seed
//! into the leaf. So whoever learns today's seed opens nothing earlier, and the owner, who can compute the first one from its
//! key file, follows from there to today without asking anybody. Operations and corrections of the same batch use the seed of
//! the leaf that they leave, each with a lane of its own. Most leave it as it was; an enrolment brings its owner's.
//!
//! Every value is one output of `permute(tag, seed, nonce, place, 0)`, used once. `nonce` is the batch's: other content of a
//! batch has another one, a retry the same.

use std::num::NonZeroU16;

use ark_ff::AdditiveGroup;
use zeroize::Zeroize;

use crate::{
    field::{Fr, reduce},
    poseidon::{DomainTag, expand, sponge},
    schnorr::SecretKey,
};

/// A rollup on a chain: what stays when circuit versions change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    pub contract: [u8; 20],
}

/// Where an account is: a slot of a community, and the how manieth time that the slot has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Community index.
    pub community: u32,
    /// Slot of the community.
    pub slot: u16,
    /// The slot's nonce when the owner came: at the enrolment or the rotation that set the seed.
    pub epoch: u32,
}

/// The secret of a leaf. Wiped on drop, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Fr);

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(32 bytes)")
    }
}

/// What the settlement of a batch takes from a seed: lane 0.
#[derive(Clone)]
pub struct SettlementSecrets {
    /// s1: blinds balance and payout address.
    pub exit_salt: Fr,
    /// Masks of the three words.
    pub masks: [Fr; 3],
    /// The seed of the leaf after.
    pub next: Seed,
    /// Blinds the packet's commitment.
    pub packet_blinding: Fr,
    /// Blinds the note.
    pub note_salt: Fr,
}

/// What an operation or a correction takes from the seed of the leaf that it leaves: lanes 1 and up.
#[derive(Clone)]
pub struct LaneSecrets {
    /// s1 of the leaf after.
    pub exit_salt: Fr,
    /// Masks of its two words.
    pub masks: [Fr; 2],
    /// Blinds the new version of a corrected packet.
    pub packet_blinding: Fr,
}

impl std::fmt::Debug for SettlementSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SettlementSecrets")
    }
}

impl std::fmt::Debug for LaneSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaneSecrets")
    }
}

impl Seed {
    /// The first seed of an account: its owner computes it from the key file again whenever it has to.
    #[must_use]
    pub fn first(owner: &SecretKey, deployment: &Deployment, seat: &Seat) -> Self {
        let mut secret = owner.to_bytes();
        let mut hasher = blake3::Hasher::new_derive_key("gridveil leaf seed v1");
        hasher.update(&secret).update(&deployment.chain_id.to_be_bytes()).update(&deployment.contract);
        hasher.update(&seat.community.to_be_bytes()).update(&seat.slot.to_be_bytes()).update(&seat.epoch.to_be_bytes());
        let mut wide = [0u8; 64];
        hasher.finalize_xof().fill(&mut wide);
        let seed = Self(reduce(&wide));
        secret.zeroize();
        wide.zeroize();
        seed
    }

    /// Of 64 uniformly random bytes: an empty slot's, which only the operator knows.
    #[must_use]
    pub fn random(bytes: &[u8; 64]) -> Self {
        Self(reduce(bytes))
    }

    /// The secret element, for the leaf and its witness.
    #[must_use]
    pub const fn element(&self) -> Fr {
        self.0
    }

    /// What the owner signs, and what L1 shows when an account begins.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        sponge(DomainTag::SeedCommitment, &[self.0])
    }

    /// Call `call` of a lane: four values. `slot` counts over the whole district.
    fn call(&self, nonce: Fr, slot: u16, lane: u16, call: u16) -> [Fr; 4] {
        let place = u64::from(slot) | u64::from(lane) << 16 | u64::from(call) << 32;
        expand(DomainTag::Seed, &[self.0, nonce, Fr::from(place)])
    }

    /// Lane 0 of a batch.
    #[must_use]
    pub fn settle(&self, nonce: Fr, slot: u16) -> SettlementSecrets {
        let [exit_salt, masks @ ..] = self.call(nonce, slot, 0, 0);
        let [next, packet_blinding, note_salt, _] = self.call(nonce, slot, 0, 1);
        SettlementSecrets { exit_salt, masks, next: Self(next), packet_blinding, note_salt }
    }

    /// Another lane of a batch; lane 0 is the settlement's.
    #[must_use]
    pub fn operate(&self, nonce: Fr, slot: u16, lane: NonZeroU16) -> LaneSecrets {
        let [exit_salt, first, second, packet_blinding] = self.call(nonce, slot, lane.get(), 0);
        LaneSecrets { exit_salt, masks: [first, second], packet_blinding }
    }
}

impl Default for Seed {
    /// A seed that everybody knows: of tables that hold no account.
    fn default() -> Self {
        Self(Fr::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const HERE: Deployment = Deployment { chain_id: 1, contract: [7; 20] };
    const SEAT: Seat = Seat { community: 3, slot: 4, epoch: 5 };

    fn owner(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 64])
    }

    #[test]
    fn the_first_seed_is_of_owner_deployment_and_seat() {
        let seed = Seed::first(&owner(1), &HERE, &SEAT);
        assert_eq!(seed, Seed::first(&owner(1), &HERE, &SEAT));
        let others = [
            Seed::first(&owner(2), &HERE, &SEAT),
            Seed::first(&owner(1), &Deployment { chain_id: 2, ..HERE }, &SEAT),
            Seed::first(&owner(1), &Deployment { contract: [8; 20], ..HERE }, &SEAT),
            Seed::first(&owner(1), &HERE, &Seat { community: 4, ..SEAT }),
            Seed::first(&owner(1), &HERE, &Seat { slot: 5, ..SEAT }),
            Seed::first(&owner(1), &HERE, &Seat { epoch: 6, ..SEAT }),
        ];
        for other in &others {
            assert_ne!(*other, seed);
        }
        let commitments: BTreeSet<_> = others.iter().chain([&seed]).map(Seed::commitment).collect();
        assert_eq!(commitments.len(), 7);
    }

    /// Every value is used for one thing: no two of a batch are the same, nor of two batches, slots or lanes.
    #[test]
    fn no_value_is_used_twice() {
        let seed = Seed::first(&owner(1), &HERE, &SEAT);
        let mut seen = BTreeSet::from([seed.element(), seed.commitment()]);
        let mut count = seen.len();
        for nonce in [1u64, 2].map(Fr::from) {
            for slot in 0..3 {
                let s = seed.settle(nonce, slot);
                let next = s.next.element();
                seen.extend([s.exit_salt, s.packet_blinding, s.note_salt, next, s.next.commitment()]);
                seen.extend(s.masks);
                count += 8;
                for lane in (1..4).filter_map(NonZeroU16::new) {
                    let l = seed.operate(nonce, slot, lane);
                    seen.extend([l.exit_salt, l.packet_blinding]);
                    seen.extend(l.masks);
                    count += 4;
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    /// The same batch again has the same salts: a retry is byte-identical.
    #[test]
    fn a_retry_is_the_same() {
        let seed = Seed::first(&owner(1), &HERE, &SEAT);
        let [a, b] = [(); 2].map(|()| seed.settle(Fr::from(9u64), 2));
        assert_eq!((a.exit_salt, a.masks, a.next), (b.exit_salt, b.masks, b.next));
    }

    #[test]
    fn nothing_shows_a_seed() {
        let seed = Seed::first(&owner(1), &HERE, &SEAT);
        let shown = format!("{seed:?} {:?} {:?}", seed.settle(Fr::ZERO, 0), seed.operate(Fr::ZERO, 0, NonZeroU16::MIN));
        assert_eq!(shown, "Seed(32 bytes) SettlementSecrets LaneSecrets");
    }
}
