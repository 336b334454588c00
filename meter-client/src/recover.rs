//! What a member gets back from the operator: packets, operations and receipts, each checked as if it came from anybody.
//!
//! Only the key file is precious. The operator has what the member signed, L1 has the roots. A packet counts if the
//! meter's signature on it verifies, an operation if the owner's does, a receipt as every statement does. So an empty
//! folder is filled again, and an old copy of one learns what a newer copy has signed before it signs the same number
//! twice.

mod back;

use std::time::{SystemTime, UNIX_EPOCH};

use gridveil_api::{
    code,
    public::{CommunityInfo, GivenBack, Taken},
};
use gridveil_protocol::{
    field::to_bytes,
    operation::{Change, Kind, SignedOperation},
    owner::{OwnerKey, owner_of},
    packet::SignedPacket,
    poseidon::DomainTag,
    receipt::Receipt,
    schnorr::{self, PublicKey},
    units::Interval,
    version::Domains,
};

use crate::{
    calendar::PeriodAt,
    key_store::Keys,
    outbox::{Outbox, Period},
    statement::Asked,
    submit::{ApiError, Sequencer},
    sync::{Member, SyncError},
    wallet::Wallet,
};

pub use back::{Lost, Missing, Recovered};

/// Why something that the operator gave back is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenBackError {
    /// It is about something else: another member, or an old one.
    #[error("it gives a packet of another {0} than asked for")]
    OtherPacket(&'static str),
    /// The meter data manager's.
    #[error("it gives a substitute as this meter's own packet")]
    Substitute,
    /// Altered, or another meter's.
    #[error("it gives a packet that this meter has not signed, or that was altered")]
    Packet,
    /// Another member's.
    #[error("it gives an operation of another slot")]
    OtherOperation,
    /// Altered, or another owner's.
    #[error("it gives an operation that this owner has not signed, or that was altered")]
    Operation,
}

/// The period was signed in another folder, and the operator has it.
pub(crate) const TAKEN_BACK: &str = "This period's packet was not in this folder: the operator gave it back, and this meter's signature on it verifies.";
/// Two folders sign.
pub const TWO_PACKETS: &str = "Another packet than the one in this folder was settled, and this meter has signed it too: two folders sign with this key. Use one.";

/// Asks for what was signed for a period. A sequencer of an earlier release has nothing to give back.
///
/// # Errors
/// [`SyncError`].
pub(crate) fn ask(sequencer: &Sequencer, keys: &Keys, period: &Period) -> Result<GivenBack, SyncError> {
    let &Period { domain, community, slot, first_interval } = period;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| SyncError::Clock)?.as_secs();
    let asked = Asked { community, slot, first_interval };
    let failed = |source: schnorr::SchnorrError| SyncError::Statement {
        period: PeriodAt::undated(first_interval),
        source: source.into(),
    };
    let request = asked.request(domain, now, &keys.owner).map_err(failed)?;
    match sequencer.given_back(&request) {
        Err(ApiError::Refused(problem)) if problem.is(code::ROUTE_UNKNOWN) => Ok(GivenBack::default()),
        answer => Ok(answer?),
    }
}

/// Is that the answer to somebody who does not own the slot, or did not then?
pub(crate) fn is_not_owner(error: &SyncError) -> bool {
    let SyncError::Api(ApiError::Refused(problem)) = error else { return false };
    [code::REQUEST_SIGNATURE, code::ACCOUNT_UNKNOWN].iter().any(|code| problem.is(*code))
}

/// Is this the packet of the period, signed by this meter?
///
/// # Errors
/// [`GivenBackError`].
pub fn check_packet(signed: &SignedPacket, period: &Period, meter: &PublicKey) -> Result<(), GivenBackError> {
    let packet = &signed.packet;
    let context = &packet.context;
    let same = [
        ("deployment", to_bytes(&context.domain) == to_bytes(&period.domain)),
        ("community", context.community == period.community),
        ("slot", packet.slot == period.slot),
        ("period", context.first_interval == period.first_interval),
    ];
    if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
        return Err(GivenBackError::OtherPacket(what));
    }
    if packet.substituted {
        return Err(GivenBackError::Substitute);
    }
    signed.verify(meter).map_err(|_| GivenBackError::Packet)
}

/// Are these operations of the slot, each signed by its owner? What an earlier owner signed counts if the same list
/// hands the account on to this one.
///
/// # Errors
/// [`GivenBackError`].
pub fn check_operations(
    operations: &[SignedOperation],
    (community, slot): (u32, u16),
    own: &OwnerKey,
    domains: &Domains,
) -> Result<(), GivenBackError> {
    let hands_on = |signed: &SignedOperation| signed.operation.kind.effect().owner == Change::Set;
    let to_us = |signed: &SignedOperation| {
        hands_on(signed) && signed.owner != *own && signed.operation.party == own.commitment()
    };
    let from = operations.iter().rposition(to_us);
    let earlier = from.and_then(|at| operations.get(at)).map(|signed| signed.owner);
    let mut passed_on = false;
    for (index, signed) in operations.iter().enumerate() {
        let operation = &signed.operation;
        if (operation.community, operation.slot) != (community, slot) {
            return Err(GivenBackError::OtherOperation);
        }
        // Nobody signs what L1's queue asks for. What comes after the account was handed on is the next owner's.
        if operation.kind == Kind::Forced || passed_on {
            continue;
        }
        let expected = if from.is_some_and(|at| index <= at) { earlier } else { Some(*own) };
        let verifies = |domain| {
            let message = [operation.message(domain)];
            schnorr::verify(DomainTag::Operation, &signed.owner.key, &message, &signed.signature).is_ok()
        };
        let mut versions = domains.versions().all().into_iter().map(|one| domains.of_version(one.circuit_version));
        if Some(signed.owner) != expected || !versions.any(verifies) {
            return Err(GivenBackError::Operation);
        }
        passed_on = hands_on(signed) && signed.owner == *own && operation.party != own.commitment();
    }
    Ok(())
}

/// Takes the packet of a period back that a newer copy of this folder has handed in, before another one is signed. `meter`:
/// the key that it must be signed with. `true` if the operator had one.
///
/// # Errors
/// [`SyncError`]; [`SyncError::GivenBack`] for a packet that is not this meter's.
pub fn take_back_packet(
    sequencer: &Sequencer,
    keys: &Keys,
    meter: &PublicKey,
    outbox: &Outbox,
    period: &Period,
) -> Result<bool, SyncError> {
    let given = match ask(sequencer, keys, period) {
        // Not enrolled yet, or a key file without the account's owner key: there is nothing to take back.
        Err(error) if is_not_owner(&error) => return Ok(false),
        answer => answer?,
    };
    let taken = given.packet.map(|packet| (packet, Taken::Accepted));
    let Some((packet, how)) = taken.or(given.late.map(|late| (late, Taken::Late))) else { return Ok(false) };
    let failed = |source| SyncError::GivenBack { period: PeriodAt::undated(period.first_interval), source };
    check_packet(&packet, period, meter).map_err(failed)?;
    outbox.take_back(period, &packet)?;
    outbox.mark_delivered(period, how)?;
    Ok(true)
}

impl Member<'_> {
    /// The packet to hold a receipt against: the one in this folder if it was settled, else the operator's, with what
    /// there is to say about that. The receipt is not verified yet, so nothing is kept.
    pub(crate) fn settled_packet(
        &self,
        period: &Period,
        receipt: &Receipt,
    ) -> Result<(Option<SignedPacket>, Option<&'static str>), SyncError> {
        let kept = self.outbox.packet(period)?;
        let settled = |signed: &SignedPacket| {
            let (of, salts) = (&receipt.settled.salts, &signed.packet.salts);
            (of.exit, of.private) == (salts.exit, salts.private)
        };
        let Some(meter) = receipt.before.meter.filter(|_| !receipt.substituted) else { return Ok((kept, None)) };
        let kept = match self.outbox.packet_by(period, &meter)? {
            None => kept,
            own => own,
        };
        if kept.as_ref().is_some_and(settled) {
            return Ok((kept, None));
        }
        let Some(given) = ask(self.sequencer, self.keys, period)?.packet else { return Ok((kept, None)) };
        let failed = |source| SyncError::GivenBack { period: PeriodAt::undated(period.first_interval), source };
        check_packet(&given, period, &meter).map_err(failed)?;
        if !settled(&given) {
            return Ok((kept, None));
        }
        let notice = if kept.is_some() { TWO_PACKETS } else { TAKEN_BACK };
        Ok((Some(given), Some(notice)))
    }

    /// Takes over the operations that the operator has and this wallet may not, so that their nonces are not used again.
    /// Gives how many were new.
    ///
    /// # Errors
    /// [`SyncError`]; [`SyncError::GivenBack`] for one that the owner has not signed.
    pub fn take_over(&self, wallet: &mut Wallet) -> Result<usize, SyncError> {
        let open = self.sequencer.community(self.community)?.next_interval;
        let period = self.period(open)?;
        let given = match ask(self.sequencer, self.keys, &period) {
            Err(error) if is_not_owner(&error) => return Ok(0),
            answer => answer?,
        };
        let own = owner_of(&self.keys.owner);
        let failed = |source| SyncError::GivenBack { period: PeriodAt::undated(open), source };
        check_operations(&given.operations, (self.community, self.slot), &own, self.domains).map_err(failed)?;
        let mut new = 0;
        for signed in &given.operations {
            new += usize::from(wallet.take_over(signed)?);
        }
        Ok(new)
    }

    /// The slots of the community that are this owner's now, by the operator's answers.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn slots_of_owner(&self) -> Result<Vec<u16>, SyncError> {
        let community = self.sequencer.community(self.community)?;
        let period = self.period(community.next_interval)?;
        let slots = 0..u16::try_from(community.members).unwrap_or(u16::MAX);
        let mut own = Vec::new();
        for slot in slots {
            match ask(self.sequencer, self.keys, &Period { slot, ..period }) {
                Err(error) if is_not_owner(&error) => {}
                answer => {
                    answer?;
                    own.push(slot);
                }
            }
        }
        Ok(own)
    }

    /// First intervals of the settled periods, oldest first, also of those before what the operator's page lists.
    fn settled_periods(&self, community: &CommunityInfo) -> Result<Vec<Interval>, SyncError> {
        /// Periods that a header operation may have skipped in a row.
        const SKIPPED: usize = 16;
        let mut periods: Vec<Interval> = community.settled.iter().map(|period| period.first_interval).collect();
        let (mut at, mut silent) = (periods.first().copied(), 0);
        let mut earlier = Vec::new();
        while let Some(first) = at.and_then(|at| at.checked_sub(u32::from(community.intervals)))
            && silent < SKIPPED
        {
            match ask(self.sequencer, self.keys, &self.period(first)?) {
                Err(error) if is_not_owner(&error) => break,
                answer if answer.as_ref().is_ok_and(|given| given.settled) => {
                    earlier.push(first);
                    silent = 0;
                }
                answer => {
                    answer?;
                    silent += 1;
                }
            }
            at = Some(first);
        }
        earlier.reverse();
        earlier.append(&mut periods);
        Ok(earlier)
    }
}
