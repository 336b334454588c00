//! Certificates as L1 has them: statements spent, and what they disclose.

use std::collections::BTreeMap;

use gridveil_protocol::{
    certificate::CertificateInstance,
    field::{Fr, from_bytes},
    params::Shape,
    units::{Interval, Wh},
};
use gridveil_verifier_contract::{CertificateCall, CommunityParams, RollupEffect, Word};
use serde::Serialize;

const PUBLIC: u16 = 1;
const SEALED: u16 = 2;
const CONSUMPTION: u16 = 1;
const EXPIRY: u16 = 2;
const EXPORT: u16 = 3;

/// Certificates, from events alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Certificates {
    /// Statements that spent a note.
    pub spent: u64,
    /// Of these, statements whose proof was found in calldata, and holds.
    pub verified: u64,
    /// Statements that were undone, which no other figure counts: no batch had taken their notes in when their circuit
    /// version was retired.
    pub undone: u64,
    /// Of these, retirements whose amount nobody sees.
    pub sealed: u64,
    /// Publicly consumed, Wh.
    pub consumed_wh: Wh,
    /// Publicly expired, Wh.
    pub expired_wh: Wh,
    /// Exported to another registry, Wh: always public.
    pub exported_wh: Wh,
    /// Notes that wait for a batch.
    pub waiting_notes: u64,
    /// Public retirements by community and period of origin, in this order.
    pub public: Vec<RetiredPeriod>,
}

/// Public retirements of certificates of one community and period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetiredPeriod {
    /// Where the energy was fed in.
    pub community: u32,
    /// First interval of the period in which it was.
    pub first_interval: Interval,
    /// Consumed, Wh.
    pub consumed_wh: Wh,
    /// Expired, Wh.
    pub expired_wh: Wh,
    /// Exported, Wh.
    pub exported_wh: Wh,
    /// Retirements.
    pub retirements: u64,
}

impl RetiredPeriod {
    /// Everything that was retired for everybody to see.
    fn sum(&self) -> Wh {
        self.consumed_wh.saturating_add(self.expired_wh).saturating_add(self.exported_wh)
    }
}

/// The most that the meters of one community feed in within one period: every slot and interval at the end of its
/// meter's counter, at the largest scale. What was issued is on L1 only as a commitment, so this is the bound that
/// public data gives.
fn most_fed_in(params: &CommunityParams) -> Option<Wh> {
    const LARGEST_SCALE: u8 = 100;
    let slots = u64::try_from(Shape::by_id(params.shape)?.members).ok()?;
    let of_interval = Wh::of_units(u16::MAX, LARGEST_SCALE);
    Some(Wh(of_interval.0 * slots * u64::from(params.m)))
}

/// A statement that L1 accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) nullifier: Word,
    pub(crate) circuit_version: u32,
    pub(crate) anchor: Word,
    pub(crate) notes: [Word; 2],
    pub(crate) retirement: Word,
    pub(crate) disclosed: Word,
    pub(crate) beneficiary: Word,
    pub(crate) kind: u16,
}

/// First version of the certificate circuit.
const FIRST_VERSION: u32 = 1_000_001;

impl Spent {
    /// The statement of an effect, if it is one.
    pub(crate) fn of(effect: &RollupEffect) -> Option<Self> {
        let RollupEffect::CertificateSpent {
            nullifier,
            circuit_version,
            anchor,
            note_1,
            note_2,
            retirement,
            disclosed,
            beneficiary,
            kind,
        } = *effect
        else {
            return None;
        };
        let notes = [note_1, note_2];
        Some(Self { nullifier, circuit_version, anchor, notes, retirement, disclosed, beneficiary, kind })
    }

    /// Is it what this call states?
    pub(crate) fn is_of(&self, call: &CertificateCall) -> bool {
        let words = [self.nullifier, self.notes[0], self.notes[1], self.retirement, self.disclosed, self.beneficiary];
        words == [call.nullifier, call.note_1, call.note_2, call.retirement, call.disclosed, call.beneficiary]
            && (self.kind, self.circuit_version, self.anchor) == (call.kind, call.circuit_version, call.anchor)
    }

    /// L1C.1.
    pub(crate) const fn of_certificates(&self) -> bool {
        self.circuit_version >= FIRST_VERSION
    }

    /// L1C.2.
    pub(crate) fn kind_fits(&self) -> bool {
        let zero = Word::default();
        let (retires, public) = (self.retirement != zero, self.disclosed != zero);
        let named = public || self.beneficiary != zero;
        match (self.kind & 0xff, self.kind >> 8) {
            (0, 0) => !retires && !named,
            (SEALED, CONSUMPTION) => retires && !named,
            (PUBLIC, CONSUMPTION..=EXPORT) => retires && public,
            _ => false,
        }
    }

    /// L1C.5.
    pub(crate) fn canonical(&self) -> bool {
        let [first, second] = self.notes;
        let words = [self.nullifier, first, second, self.retirement, self.disclosed, self.beneficiary];
        !self.notes.contains(&Word::default()) && words.iter().all(|word| from_bytes::<Fr>(word).is_ok())
    }
}

/// The public inputs of a call; `None` if a word is no field element.
pub(crate) fn instance(call: &CertificateCall, domain: Fr) -> Option<CertificateInstance> {
    let element = |word: &Word| from_bytes::<Fr>(word).ok();
    Some(CertificateInstance {
        domain,
        anchor: element(&call.anchor)?,
        nullifier: element(&call.nullifier)?,
        notes: [element(&call.note_1)?, element(&call.note_2)?],
        retirement: element(&call.retirement)?,
        disclosed: element(&call.disclosed)?,
        beneficiary: element(&call.beneficiary)?,
        kind: call.kind.into(),
    })
}

/// Why a disclosure is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DisclosedError {
    #[error("what is disclosed has bits above its fields")]
    High,
    #[error("what is disclosed names community {0}, which is not registered")]
    Community(u32),
    #[error("what is disclosed names a period of {0} intervals, which the community does not have")]
    Period(u16),
    #[error("what is disclosed names a period that is not settled")]
    NotSettled,
    #[error("{} Wh of one period are retired, and its meters cannot have fed in more than {} Wh", .retired.0, .most.0)]
    TooMuch { retired: Wh, most: Wh },
}

impl DisclosedError {
    pub(crate) const fn clause(self) -> &'static str {
        match self {
            Self::TooMuch { .. } => "CERT.4",
            Self::High | Self::Community(_) | Self::Period(_) | Self::NotSettled => "CERT.5",
        }
    }
}

/// `amount | first_interval<<48 | m<<80 | community<<96 | technology<<128`.
pub(crate) struct Info {
    pub(crate) amount: Wh,
    pub(crate) first_interval: Interval,
    pub(crate) m: u16,
    pub(crate) community: u32,
}

pub(crate) fn info(word: &Word) -> Result<Info, DisclosedError> {
    let &[ref zeros @ .., _technology, c0, c1, c2, c3, m0, m1, f0, f1, f2, f3, a0, a1, a2, a3, a4, a5] = word;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(DisclosedError::High);
    }
    Ok(Info {
        amount: Wh(u64::from_be_bytes([0, 0, a0, a1, a2, a3, a4, a5])),
        first_interval: Interval(u32::from_be_bytes([f0, f1, f2, f3])),
        m: u16::from_be_bytes([m0, m1]),
        community: u32::from_be_bytes([c0, c1, c2, c3]),
    })
}

impl Certificates {
    /// Counts a statement; a disclosure that is none is not summed. What is more than there can be is.
    pub(crate) fn book(
        &mut self,
        spent: &Spent,
        communities: &BTreeMap<u32, CommunityParams>,
        next_interval: &BTreeMap<u32, u64>,
    ) -> Result<(), DisclosedError> {
        let (how, purpose) = (spent.kind & 0xff, spent.kind >> 8);
        self.spent += 1;
        self.sealed += u64::from(how == SEALED);
        if how != PUBLIC {
            return Ok(());
        }
        let Info { amount, first_interval, m, community } = info(&spent.disclosed)?;
        let params = communities.get(&community).ok_or(DisclosedError::Community(community))?;
        if params.m != m {
            return Err(DisclosedError::Period(m));
        }
        let end = u64::from(first_interval) + u64::from(m);
        if next_interval.get(&community).is_none_or(|next| end > *next) {
            return Err(DisclosedError::NotSettled);
        }
        let place = self.public.binary_search_by_key(&(community, first_interval), |r| (r.community, r.first_interval));
        let place = place.unwrap_or_else(|place| {
            self.public.insert(place, RetiredPeriod { community, first_interval, ..RetiredPeriod::default() });
            place
        });
        let Some(retired) = self.public.get_mut(place) else { return Ok(()) };
        retired.retirements += 1;
        let (sum, total) = match purpose {
            EXPIRY => (&mut retired.expired_wh, &mut self.expired_wh),
            EXPORT => (&mut retired.exported_wh, &mut self.exported_wh),
            _ => (&mut retired.consumed_wh, &mut self.consumed_wh),
        };
        *sum = sum.saturating_add(amount);
        *total = total.saturating_add(amount);
        match most_fed_in(params) {
            Some(most) if retired.sum() > most => Err(DisclosedError::TooMuch { retired: retired.sum(), most }),
            _ => Ok(()),
        }
    }

    /// A statement that was counted is undone, and what it retired with it.
    pub(crate) fn undo(&mut self, spent: &Spent) {
        let (how, purpose) = (spent.kind & 0xff, spent.kind >> 8);
        self.undone += 1;
        self.spent = self.spent.saturating_sub(1);
        self.sealed = self.sealed.saturating_sub(u64::from(how == SEALED));
        if how != PUBLIC {
            return;
        }
        let Ok(Info { amount, first_interval, community, .. }) = info(&spent.disclosed) else { return };
        let place = self.public.binary_search_by_key(&(community, first_interval), |r| (r.community, r.first_interval));
        let Some((place, retired)) = place.ok().and_then(|at| Some((at, self.public.get_mut(at)?))) else { return };
        retired.retirements = retired.retirements.saturating_sub(1);
        let (sum, total) = match purpose {
            EXPIRY => (&mut retired.expired_wh, &mut self.expired_wh),
            EXPORT => (&mut retired.exported_wh, &mut self.exported_wh),
            _ => (&mut retired.consumed_wh, &mut self.consumed_wh),
        };
        *sum = sum.saturating_sub(amount);
        *total = total.saturating_sub(amount);
        if retired.retirements == 0 {
            self.public.remove(place);
        }
    }
}
