//! The whole way back: every settled period in order, then what is not settled yet.

use gridveil_api::public::CommunityInfo;
use gridveil_protocol::{owner::owner_of, receipt::Receipt, schnorr::PublicKey, units::Interval};

use super::{check_packet, is_not_owner, take_back_packet};
use crate::{
    calendar::PeriodAt,
    outbox::{OutboxError, Period},
    statement::StatementError,
    submit::ApiError,
    sync::{Member, SyncError, explained},
    wallet::Wallet,
};

/// What a member did not get back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A period's receipt.
    Receipt,
    /// A period's packet.
    Packet,
    /// Operations that no final batch has.
    Operations,
}

/// One thing that is missing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: Lost,
    /// Of the period from this interval.
    pub first_interval: Interval,
    /// Why: for a person.
    pub why: String,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Receipts that were verified now.
    pub receipts: usize,
    /// Receipts that were in the folder already, of roots that L1 has.
    pub kept: usize,
    /// Packets that came back.
    pub packets: usize,
    /// Operations that came back: of receipts, and those that wait.
    pub operations: usize,
    /// What did not.
    pub missing: Vec<Missing>,
}

/// Is this about one period alone? Then the next one is asked for. Anything else ends the recovery, which goes on when
/// it is started again.
fn of_one_period(error: SyncError, length_s: u16) -> Result<String, SyncError> {
    let error = error.dated(length_s);
    let one = match &error {
        SyncError::Statement { source, .. } => !matches!(source, StatementError::L1(_)),
        SyncError::GivenBack { .. } | SyncError::OtherKey { .. } | SyncError::Gap { .. } => true,
        SyncError::Api(ApiError::Refused(_) | ApiError::Answer(_) | ApiError::OtherPeriod) => true,
        // A file of another key file: before the meter was replaced.
        SyncError::Outbox(OutboxError::Damaged { .. } | OutboxError::AlreadySigned { .. }) => true,
        SyncError::Api(_) | SyncError::Outbox(_) | SyncError::Wallet(_) | SyncError::Clock => false,
    };
    if one { Ok(error.to_string()) } else { Err(error) }
}

impl Member<'_> {
    /// Takes everything back that the operator has of this member and that holds against signatures and L1. What is in
    /// the folder already is not asked for again, so a recovery that was interrupted goes on. What does not come back is
    /// named. `said` hears of each period before it is asked for, with how many there are.
    ///
    /// # Errors
    /// [`SyncError`]: operator or L1 do not answer, or the folder cannot be written.
    pub fn recover(&self, wallet: &mut Wallet, said: &mut dyn FnMut(usize, usize)) -> Result<Recovered, SyncError> {
        let community = self.sequencer.community(self.community)?;
        let periods = self.settled_periods(&community)?;
        let known = wallet.state().operations.len();
        let mut out = Recovered::default();
        let mut before: Option<Receipt> = None;
        for (at, first_interval) in periods.iter().enumerate() {
            said(at + 1, periods.len());
            let period = self.period(*first_interval)?;
            let receipt = match self.held(&period)? {
                Some(receipt) => {
                    self.keep_booked(&receipt)?;
                    out.kept += 1;
                    Some(receipt)
                }
                None => self.fetched(&period, before.as_ref(), wallet, &community, &mut out)?,
            };
            if let Some(receipt) = &receipt {
                if out.receipts + out.kept == 1 {
                    self.under_earlier_key(receipt, &mut out);
                }
                wallet.take_receipt(receipt)?;
                if let Err(error) = self.packet_of(&period, receipt, &community, &mut out) {
                    let (what, first_interval) = (Lost::Packet, *first_interval);
                    out.missing.push(Missing {
                        what,
                        first_interval,
                        why: of_one_period(error, community.interval_length)?,
                    });
                }
            }
            // A closed account has no later receipts of its own.
            before = receipt.filter(|receipt| receipt.after.meter.is_some());
        }
        // An account that L1 has not yet has no packets.
        if let Some(meter) = wallet.state().account().ok().and_then(|account| account.meter) {
            self.unsettled(&community, &meter, &mut out)?;
        }
        if let Err(error) = self.take_over(wallet) {
            let (what, first_interval) = (Lost::Operations, community.next_interval);
            out.missing.push(Missing { what, first_interval, why: of_one_period(error, community.interval_length)? });
        }
        out.operations = wallet.state().operations.len().saturating_sub(known);
        Ok(out)
    }

    /// The account was another owner key's before: what came before its first receipt comes back with that key file.
    fn under_earlier_key(&self, first: &Receipt, out: &mut Recovered) {
        let own = owner_of(&self.keys.owner).commitment();
        if first.before.meter.is_some() && first.before.owner != own && first.after.owner == own {
            let why = "this one and those before it began with an earlier owner key: what came before it comes back with \
                       that key file";
            let (what, first_interval) = (Lost::Receipt, first.first_interval);
            out.missing.push(Missing { what, first_interval, why: why.to_owned() });
        }
    }

    /// The receipt in the folder, if L1 has its root. It was verified before it was kept.
    fn held(&self, period: &Period) -> Result<Option<Receipt>, SyncError> {
        let receipt = match self.outbox.receipt(period) {
            Err(OutboxError::Damaged { .. }) => None,
            answer => answer?,
        };
        let Some(receipt) = receipt else { return Ok(None) };
        let failed = |source: crate::l1::L1Error| SyncError::Statement {
            period: PeriodAt::undated(period.first_interval),
            source: source.into(),
        };
        Ok(self.l1.is_finalised(receipt.root).map_err(failed)?.then_some(receipt))
    }

    fn fetched(
        &self,
        period: &Period,
        before: Option<&Receipt>,
        wallet: &Wallet,
        community: &CommunityInfo,
        out: &mut Recovered,
    ) -> Result<Option<Receipt>, SyncError> {
        let came = || {
            let had = self.outbox.packet(period)?;
            let (_, receipt) = self.statement(period.first_interval, before, &wallet.state().signed())?;
            Ok((receipt, self.outbox.packet(period)? != had))
        };
        match came() {
            Ok((receipt, packet)) => {
                out.receipts += 1;
                out.packets += usize::from(packet);
                Ok(Some(receipt))
            }
            // Before this member's time, or after it.
            Err(error) if is_not_owner(&error) && before.is_none() => Ok(None),
            Err(error) => {
                let error = explained(error, before, period.first_interval, self, community);
                let (what, first_interval) = (Lost::Receipt, period.first_interval);
                out.missing.push(Missing {
                    what,
                    first_interval,
                    why: of_one_period(error, community.interval_length)?,
                });
                Ok(None)
            }
        }
    }

    /// The packet of a verified receipt, where the folder lacks it: the settled one, or a late one that waits.
    fn packet_of(
        &self,
        period: &Period,
        receipt: &Receipt,
        community: &CommunityInfo,
        out: &mut Recovered,
    ) -> Result<(), SyncError> {
        let (Some(meter), None) = (receipt.before.meter, self.outbox.packet(period)?) else { return Ok(()) };
        let taken = if receipt.substituted {
            self.waiting(period, &meter)
        } else {
            self.settled_packet(period, receipt).and_then(|(packet, _)| {
                let Some(packet) = packet else { return Ok(false) };
                let failed = |source| SyncError::GivenBack { period: PeriodAt::undated(period.first_interval), source };
                check_packet(&packet, period, &meter).map_err(failed)?;
                self.outbox.take_back(period, &packet)?;
                self.outbox.mark_delivered(period, gridveil_api::public::Taken::Accepted)?;
                Ok(true)
            })
        };
        let why = match taken {
            Ok(taken) => {
                out.packets += usize::from(taken);
                if taken || receipt.substituted {
                    return Ok(());
                }
                "the operator does not give it".to_owned()
            }
            Err(error) => of_one_period(error, community.interval_length)?,
        };
        out.missing.push(Missing { what: Lost::Packet, first_interval: period.first_interval, why });
        Ok(())
    }

    fn waiting(&self, period: &Period, meter: &PublicKey) -> Result<bool, SyncError> {
        take_back_packet(self.sequencer, self.keys, meter, self.outbox, period)
    }

    /// Packets of the periods that are not final: on their way to L1, and the open one.
    fn unsettled(&self, community: &CommunityInfo, meter: &PublicKey, out: &mut Recovered) -> Result<(), SyncError> {
        /// Far more than are ever on their way.
        const UNDERWAY: usize = 64;
        let intervals = u32::from(community.intervals).max(1);
        let last = community.settled.last().map(|period| period.first_interval);
        let first = last.map_or(community.next_interval, |last| last.saturating_add(intervals));
        let periods = (0..).step_by(usize::try_from(intervals).unwrap_or(1)).map(|step| first.saturating_add(step));
        for first_interval in periods.take_while(|first| *first <= community.next_interval).take(UNDERWAY) {
            let period = self.period(first_interval)?;
            let taken = self.outbox.packet_by(&period, meter).map_err(Into::into).and_then(|kept| match kept {
                Some(_) => Ok(false),
                None => self.waiting(&period, meter),
            });
            match taken {
                Ok(taken) => out.packets += usize::from(taken),
                Err(error) => {
                    let why = of_one_period(error, community.interval_length)?;
                    out.missing.push(Missing { what: Lost::Packet, first_interval, why });
                }
            }
        }
        Ok(())
    }
}
