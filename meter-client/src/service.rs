//! What a member's machine does day after day: hand in every period that is missing, check every statement, keep a copy of
//! the wallet, and say what is wrong.
//!
//! A round begins with the statements, because they tell which periods were settled with a substitute and wait for the meter's own
//! packet. Nothing is kept of a round but what outbox and wallet keep: a round that was cut short is done again.

mod backup;
mod late;

use std::path::{Path, PathBuf};

use gridveil_api::{
    Problem, code,
    public::{CommunityInfo, Taken},
};
use gridveil_protocol::{
    packet::Context,
    receipt::Receipt,
    units::{Interval, Ticks},
    version::Domains,
};
use gridveil_readings::{Import, Rule};

pub use backup::{BackupError, back_up};
pub use late::{Now, Substituted};

use crate::{
    device::Device,
    key_store::Keys,
    l1::{Going, Roots},
    live,
    outbox::{Outbox, OutboxError, Period},
    packet::Draft,
    proposal::{ProposalFile, dates},
    recover,
    source::{Cut, CutError, Purpose},
    submit::{ApiError, Sequencer},
    sync::{Member, SyncError},
    wallet::{Deployment, FileError, Wallet, WalletError, write_file},
};

/// Most periods of one round: a year of days, and some.
const MAX_PERIODS: u32 = 400;
/// Periods that are over, and that a device without receipts tries to hand in.
const LATE_PERIODS: u32 = 7;

/// What a member's machine needs.
pub struct Service<'a> {
    /// Sequencer.
    pub sequencer: &'a Sequencer,
    /// L1. Without it no statement is checked.
    pub l1: Option<&'a dyn Roots>,
    /// The household's keys. Without them packets are handed in, and no statement is checked.
    pub keys: Option<&'a Keys>,
    /// The meter's.
    pub device: &'a Device,
    /// The rollup that the member names.
    pub deployment: Deployment,
    /// Of it and the circuit versions.
    pub domains: &'a Domains,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Directory of wallet and outbox.
    pub wallet: &'a Path,
    /// Wh of a reading's unit: the account's scale.
    pub scale: u8,
    /// Doubts that the member accepts.
    pub accepted: &'a [Rule],
    /// Highest price to buy at in the next period.
    pub buy_limit: Ticks,
    /// Lowest price to sell at in the next period.
    pub sell_limit: Ticks,
}

impl std::fmt::Debug for Service<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What a round did, or found. None of it is a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A packet was handed in.
    Sent {
        /// Period.
        first_interval: Interval,
        /// It was settled with a substitute, and a later settlement books the difference.
        late: bool,
    },
    /// The sequencer does not take it, and says why.
    Refused {
        /// Period.
        first_interval: Interval,
        /// Its answer.
        why: String,
    },
    /// The period is complete, and not signed as it is.
    NotSigned {
        /// Period.
        first_interval: Interval,
        /// Why, and what to do.
        why: String,
    },
    /// Some intervals were not measured: the period is proposed to the meter data manager, and not signed.
    Proposed {
        /// Period.
        first_interval: Interval,
        /// The file for the meter data manager.
        file: PathBuf,
        /// What was not measured.
        dates: String,
    },
    /// A period became final, and every figure of it holds.
    Statement {
        /// Period.
        first_interval: Interval,
        /// Was it settled with a substitute?
        substituted: bool,
        /// The earlier period that its correction is about.
        corrected: Option<Interval>,
    },
    /// L1 says of the account what it did not before.
    Rollup {
        /// Does it go on?
        going: Going,
    },
    /// Something is wrong with the live meter.
    Meter {
        /// What.
        why: String,
    },
}

/// Why a round was not finished. What it did before stands.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Statements, sequencer, L1 or wallet.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// A proposal cannot be written.
    #[error("{}: {source}", path.display())]
    Proposal {
        /// File.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
}

impl From<ApiError> for ServiceError {
    fn from(error: ApiError) -> Self {
        Self::Sync(error.into())
    }
}

impl From<OutboxError> for ServiceError {
    fn from(error: OutboxError) -> Self {
        Self::Sync(error.into())
    }
}

impl Service<'_> {
    /// One round over the readings, if there are any. `said` hears of each thing when it is done.
    ///
    /// # Errors
    /// [`ServiceError`]; what was said before is done.
    pub fn round(&self, import: Option<&Import>, said: &mut dyn FnMut(Done)) -> Result<(), ServiceError> {
        let outbox = self.outbox()?;
        let terms = self.sequencer.community(self.community)?;
        // Statements that do not hold do not keep the meter from speaking.
        let statements = match (self.keys, self.l1) {
            (Some(keys), Some(l1)) => self.statements((keys, l1), &outbox, &terms, said),
            _ => Ok(()),
        };
        if let Some(import) = import {
            self.packets(&outbox, &terms, import, terms.next_interval, said)?;
        }
        statements
    }

    /// Hands in what is late: every period of the readings that is over, was settled with a substitute, and was not handed in.
    ///
    /// # Errors
    /// [`ServiceError`]; what was said before is done.
    pub fn late(&self, terms: &CommunityInfo, import: &Import, said: &mut dyn FnMut(Done)) -> Result<(), ServiceError> {
        let before = terms.next_interval.checked_sub(u32::from(terms.intervals));
        before.map_or(Ok(()), |last| self.packets(&self.outbox()?, terms, import, last, said))
    }

    fn outbox(&self) -> Result<Outbox, OutboxError> {
        Outbox::of_signer(self.wallet, self.keys, self.device)
    }

    fn statements(
        &self,
        (keys, l1): (&Keys, &dyn Roots),
        outbox: &Outbox,
        terms: &CommunityInfo,
        said: &mut dyn FnMut(Done),
    ) -> Result<(), ServiceError> {
        let Self { sequencer, domains, community, slot, .. } = *self;
        let failed = |error: WalletError| ServiceError::Sync(error.into());
        // Open for no longer than this takes: the member's own commands need it too.
        let mut wallet = Wallet::open(self.wallet, keys, domains.name(), community, slot).map_err(failed)?;
        let member = Member { sequencer, l1, keys, outbox, domains, community, slot };
        let new = member.sync(&mut wallet)?;
        member.ask_after(&mut wallet, true)?;
        for statement in new {
            let receipt = outbox.receipt(&self.period(terms, statement.first_interval))?;
            said(Done::Statement {
                first_interval: statement.first_interval,
                substituted: receipt.is_some_and(|receipt| receipt.substituted),
                corrected: statement.correction.map(|correction| correction.first_interval),
            });
        }
        Ok(())
    }

    fn period(&self, terms: &CommunityInfo, first_interval: Interval) -> Period {
        let domain = self.domains.of_period(first_interval, terms.interval_length);
        Period { domain, community: self.community, slot: self.slot, first_interval }
    }

    /// The periods that are whole in the readings, oldest first, and those that began and are over, up to `until`.
    fn packets(
        &self,
        outbox: &Outbox,
        terms: &CommunityInfo,
        import: &Import,
        until: Interval,
        said: &mut dyn FnMut(Done),
    ) -> Result<(), ServiceError> {
        let (intervals, length) = (u32::from(terms.intervals.max(1)), i64::from(terms.interval_length.max(1)));
        let entries = import.series.entries();
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let index = |start: i64| u32::try_from(start.div_euclid(length)).unwrap_or(0);
        let next = terms.next_interval.0;
        // Periods follow each other from the open one, backwards and forwards.
        let begin = index(first.start) + (next % intervals + intervals - index(first.start) % intervals) % intervals;
        let end = index(last.start).saturating_add(1);
        let begin = begin.max(next.saturating_sub(intervals.saturating_mul(MAX_PERIODS)));
        for first_interval in
            (begin..).step_by(intervals as usize).take_while(|first| first.saturating_add(intervals) <= end)
        {
            // A later one waits for its turn.
            if first_interval > until.0 {
                break;
            }
            let first_interval = Interval(first_interval);
            let period = self.period(terms, first_interval);
            if outbox.is_handed_in(&period)? {
                continue;
            }
            if first_interval.0 < next && !self.wants_late(outbox, &period, next, intervals)? {
                continue;
            }
            self.packet(outbox, terms, import, &period, said)?;
        }
        Ok(())
    }

    fn packet(
        &self,
        outbox: &Outbox,
        terms: &CommunityInfo,
        import: &Import,
        period: &Period,
        said: &mut dyn FnMut(Done),
    ) -> Result<(), ServiceError> {
        let first_interval = period.first_interval;
        let cut = Cut {
            first_interval,
            intervals: usize::from(terms.intervals),
            length: u32::from(terms.interval_length),
            scale: u64::from(self.scale),
            purpose: Purpose::Metered(self.accepted),
        };
        let readings = match cut.of(import) {
            Ok(readings) => readings,
            Err(CutError::NotMeasured { .. }) => {
                // Of a period that was settled with a substitute there is nothing to propose.
                return if first_interval == terms.next_interval {
                    self.propose(&cut, terms, import, said)
                } else {
                    Ok(())
                };
            }
            Err(error) => {
                said(Done::NotSigned { first_interval, why: error.to_string() });
                return Ok(());
            }
        };
        // An old copy of the wallet, or a new one: the period may be signed and handed in already.
        if let Some(keys) = self.keys
            && outbox.packet_by(period, &self.device.public())?.is_none()
        {
            match recover::take_back_packet(self.sequencer, keys, &self.device.public(), outbox, period) {
                // An answer about an old day does not keep today's from being handed in.
                Err(error @ SyncError::GivenBack { .. }) if first_interval < terms.next_interval => {
                    said(Done::Refused { first_interval, why: error.to_string() });
                    return Ok(());
                }
                taken => taken?,
            };
        }
        let context = Context {
            domain: period.domain,
            community: self.community,
            first_interval,
            interval_length: terms.interval_length,
            intervals: terms.intervals,
        };
        let (buy_limit, sell_limit) = (self.buy_limit, self.sell_limit);
        let draft = Draft { context, slot: self.slot, readings, buy_limit, sell_limit, scale: self.scale };
        let signed = match outbox.sign_under(draft, self.domains, self.device.secret()) {
            Ok(signed) => signed,
            // Signed before, perhaps with other limits, and never delivered: the first one stands.
            Err(OutboxError::AlreadySigned { path }) => match outbox.packet_by(period, &self.device.public())? {
                Some(signed) => signed,
                None => return Err(OutboxError::AlreadySigned { path }.into()),
            },
            Err(error) => return Err(error.into()),
        };
        match self.sequencer.submit(&signed) {
            Ok(taken) => {
                let taken = as_first_taken(taken, first_interval, terms);
                outbox.mark_delivered(period, taken)?;
                said(Done::Sent { first_interval, late: taken == Taken::Late });
            }
            Err(ApiError::Refused(problem)) => {
                // The very period was closed meanwhile: what it was settled with says the next statement.
                if !problem.is(code::PACKET_EARLY) {
                    said(Done::Refused { first_interval, why: refused(&problem) });
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Is there something to book of a period that is over? With a receipt: if it was settled with a substitute. Without one
    /// it was before the account's time, or is not final yet. A device alone has no receipts: it asks for the last periods.
    fn wants_late(&self, outbox: &Outbox, period: &Period, now: u32, intervals: u32) -> Result<bool, OutboxError> {
        if self.keys.is_none() {
            return Ok(now.saturating_sub(period.first_interval.0) <= intervals.saturating_mul(LATE_PERIODS));
        }
        // With another meter it is final (OP.9).
        let own = Some(self.device.public());
        let corrected =
            |receipt: &Receipt| receipt.substituted && receipt.before.meter == own && receipt.after.meter == own;
        Ok(outbox.receipt(period)?.as_ref().is_some_and(corrected))
    }

    /// Writes the period for the meter data manager, once.
    fn propose(
        &self,
        cut: &Cut<'_>,
        terms: &CommunityInfo,
        import: &Import,
        said: &mut dyn FnMut(Done),
    ) -> Result<(), ServiceError> {
        let first_interval = cut.first_interval;
        let proposal = match self.proposal(cut, terms, import) {
            Ok(proposal) => proposal,
            Err(error) => {
                said(Done::NotSigned { first_interval, why: error.to_string() });
                return Ok(());
            }
        };
        let folder = self.wallet.join("proposals");
        let file = folder.join(format!("{}-{}-{first_interval}.json", self.community, self.slot));
        let failed = |source| ServiceError::Proposal { path: file.clone(), source };
        gridveil_keystore::durable::private_directory(&folder).map_err(|e| failed(FileError::Io(e.kind())))?;
        match write_file(&file, &proposal) {
            // Made before, of other readings: the meter data manager may have that one.
            Ok(()) | Err(FileError::Exists) => {}
            Err(error) => return Err(failed(error)),
        }
        let dates = dates(&proposal.not_measured, proposal.interval_length);
        said(Done::Proposed { first_interval, file, dates });
        Ok(())
    }

    fn proposal(&self, cut: &Cut<'_>, terms: &CommunityInfo, import: &Import) -> Result<ProposalFile, CutError> {
        Ok(ProposalFile {
            deployment: self.deployment,
            community: self.community,
            slot: self.slot,
            first_interval: cut.first_interval,
            interval_length: terms.interval_length,
            scale: self.scale,
            readings: Cut { purpose: Purpose::Substitute, ..*cut }.of(import)?,
            not_measured: cut.not_measured(import),
        })
    }
}

/// A refusal of a packet, with what may be behind it.
pub(crate) fn refused(problem: &Problem) -> String {
    if problem.is(code::PACKET_SIGNATURE) {
        format!("{problem} (was the meter's device replaced? --device names the key file of the one that signs)")
    } else {
        problem.to_string()
    }
}

/// How the sequencer took a packet first. If an answer was lost and the very same is sent again, it is a duplicate: it was in
/// time if its period is open still, and late if that was settled, as only a substitute is corrected.
pub(crate) fn as_first_taken(taken: Taken, first_interval: Interval, terms: &CommunityInfo) -> Taken {
    let open = terms.next_interval == first_interval && !terms.open.closed;
    match taken {
        Taken::Duplicate if open => Taken::Accepted,
        Taken::Duplicate if first_interval < terms.next_interval => Taken::Late,
        taken => taken,
    }
}

/// What is wrong with a live meter that is read into `folder`; nothing if none is.
#[must_use]
pub fn meter_trouble(folder: &Path, now: i64, length: u32) -> Option<Done> {
    let state = live::State::of(folder)?;
    let last = state.last_border.as_deref().unwrap_or("never");
    if !state.running {
        return Some(Done::Meter { why: format!("the meter is not read (meter watch); last interval up to {last}") });
    }
    if !state.open {
        return Some(Done::Meter { why: format!("the line to the meter is cut; last interval up to {last}") });
    }
    let ended = state.last_border.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok())?;
    let behind = now - ended.as_second();
    (behind > 3 * i64::from(length)).then(|| Done::Meter { why: format!("no interval since {last}") })
}
