//! Bringing a wallet up to date: it fetches, verifies and keeps every period that became final, and asks for the state
//! of its operations.

use std::time::{SystemTime, UNIX_EPOCH};

use gridveil_api::{
    code,
    public::{CommunityInfo, OperationState, Taken},
};
use gridveil_protocol::{
    hex::hex0, owner::owner_of, receipt::Receipt, tariff::Tariff, units::Interval, version::Domains,
};

use crate::{
    calendar::PeriodAt,
    key_store::Keys,
    l1::Roots,
    outbox::{Outbox, OutboxError, Period},
    recover::{GivenBackError, is_not_owner},
    statement::{Asked, Own, Statement, StatementError, check_subject, verify},
    submit::{ApiError, Sequencer},
    wallet::{Progress, Wallet, WalletError},
};

/// Why a statement is not there.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Sequencer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It does not hold.
    #[error("statement of the {period} does not hold: {source} ({})", source.whose())]
    Statement {
        /// Period.
        period: PeriodAt,
        /// Why.
        source: StatementError,
    },
    /// What the operator gave back is not the member's.
    #[error("what the operator gives back of the {period} is refused: {source} (nothing of it was kept)")]
    GivenBack {
        /// Period.
        period: PeriodAt,
        /// Why.
        source: GivenBackError,
    },
    /// The account is another owner key's.
    #[error(
        "the receipt of the {period} belongs to another owner key: use the key file {} \
         (no fault of the operator)",
        if *later { "that the account was given to after this one (member rotate)" } else { "that the account had then, and this one after it" }
    )]
    OtherKey {
        /// Period.
        period: PeriodAt,
        /// Of a later owner than the key file's; otherwise of an earlier one.
        later: bool,
    },
    /// Periods are missing between what is known and what is listed.
    #[error(
        "between the last receipt here ({last}) and the first of the operator's list ({period}) there are others: this folder is an old copy, and gridveil member recover brings it up to date"
    )]
    Gap {
        /// Of the last receipt.
        last: PeriodAt,
        /// The first period listed after it.
        period: PeriodAt,
    },
    /// Wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The machine's clock.
    #[error("the clock is before 1970")]
    Clock,
}

impl SyncError {
    /// The same, with the dates of its periods: intervals have `length_s` seconds.
    #[must_use]
    pub fn dated(mut self, length_s: u16) -> Self {
        match &mut self {
            Self::Statement { period, .. } | Self::GivenBack { period, .. } | Self::OtherKey { period, .. } => {
                period.length_s = Some(length_s);
            }
            Self::Gap { last, period } => {
                last.length_s = Some(length_s);
                period.length_s = Some(length_s);
            }
            Self::Outbox(_) | Self::Api(_) | Self::Wallet(_) | Self::Clock => {}
        }
        self
    }
}

/// One member's means.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// Sequencer.
    pub sequencer: &'a Sequencer,
    /// L1.
    pub l1: &'a dyn Roots,
    /// Keys.
    pub keys: &'a Keys,
    /// What was signed and verified.
    pub outbox: &'a Outbox,
    /// Of L1 and the contract the member names, and of the circuit versions that the sequencer tells.
    pub domains: &'a Domains,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
}

impl std::fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// L1 was reorganised.
const REORGANISED: &str = "The receipt before this one is of a root that L1 has no more: L1 was reorganised, and the account's state before the period is the operator's word.";

/// Why a period that must follow the last receipt does not.
pub(crate) fn explained(
    error: SyncError,
    before: Option<&Receipt>,
    first_interval: Interval,
    member: &Member<'_>,
    community: &CommunityInfo,
) -> SyncError {
    let length_s = community.interval_length;
    let period = PeriodAt::new(first_interval, length_s);
    let Some(before) = before else { return error.dated(length_s) };
    let own = owner_of(&member.keys.owner).commitment();
    if is_not_owner(&error) && before.after.owner != own {
        // It was handed on in the last receipt, or the last receipt is from before it was handed to this key.
        return SyncError::OtherKey { period, later: before.before.owner == own };
    }
    let listed = community.settled.iter().any(|period| period.first_interval == before.first_interval);
    match error {
        SyncError::Statement { source: StatementError::Continuity, .. } if !listed => {
            SyncError::Gap { last: PeriodAt::new(before.first_interval, length_s), period }
        }
        error => error.dated(length_s),
    }
}

impl Member<'_> {
    pub(crate) fn period(&self, first_interval: Interval) -> Result<Period, ApiError> {
        let domain = self.sequencer.domain_of(self.domains, self.community, first_interval)?;
        Ok(Period { domain, community: self.community, slot: self.slot, first_interval })
    }

    /// Fetches a period's receipt, checks every figure, and keeps it. `before`: the receipt it must continue from, if
    /// one is held.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn statement(
        &self,
        first_interval: Interval,
        before: Option<&Receipt>,
        operations: &[gridveil_protocol::operation::SignedOperation],
    ) -> Result<(Statement, Receipt), SyncError> {
        let asked = Asked { community: self.community, slot: self.slot, first_interval };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| SyncError::Clock)?.as_secs();
        let failed = |source| SyncError::Statement { period: PeriodAt::undated(first_interval), source };
        let this = self.period(first_interval)?;
        let request = asked.request(this.domain, now, &self.keys.owner).map_err(|e| failed(e.into()))?;
        let receipt = self.sequencer.receipt(&request)?;
        let owner = owner_of(&self.keys.owner);
        check_subject(&asked, &receipt, &owner).map_err(failed)?;
        let tariff = self.sequencer.tariff(self.community, first_interval)?;
        let (packet, given) = self.settled_packet(&this, &receipt)?;
        let own = Own {
            domain: this.domain,
            owner: &owner,
            operations,
            packet: packet.as_ref(),
            delivered: self.outbox.is_delivered(&this)?,
            previous: before,
        };
        let mut statement = self.verified(&asked, &receipt, &own, &tariff).map_err(failed)?;
        if let (Some(notice), Some(packet)) = (given, &packet) {
            self.outbox.take_back(&this, packet)?;
            self.outbox.mark_delivered(&this, Taken::Accepted)?;
            statement.notices.push(notice);
        }
        self.keep_booked(&receipt)?;
        // Before the receipt: where there is one, there is its tariff.
        self.outbox.keep_tariff(&this, &tariff)?;
        self.outbox.keep_receipt(&this, &receipt)?;
        Ok((statement, receipt))
    }

    /// Keeps the late packet that a verified receipt books. The operator gives it back only until then, and a folder that
    /// lacks it would sign the period again.
    pub(crate) fn keep_booked(&self, receipt: &Receipt) -> Result<(), SyncError> {
        let Some(correction) = &receipt.correction else { return Ok(()) };
        let period = self.period(correction.late.packet.context.first_interval)?;
        match self.outbox.take_back(&period, &correction.late) {
            // An earlier meter's file, or two others of this period: the receipt has the one that counts.
            Err(OutboxError::Damaged { .. } | OutboxError::AlreadySigned { .. }) => Ok(()),
            kept => {
                kept?;
                Ok(self.outbox.mark_delivered(&period, Taken::Late)?)
            }
        }
    }

    /// The tariff of a settled period: the kept one, or the operator's, if it is the one that L1 has.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn tariff_of(&self, period: &Period) -> Result<Tariff, SyncError> {
        if let Some(kept) = self.outbox.tariff(period)? {
            return Ok(kept);
        }
        let first_interval = period.first_interval;
        let failed = |source| SyncError::Statement { period: PeriodAt::undated(first_interval), source };
        let tariff = self.sequencer.tariff(self.community, first_interval)?;
        let registered = self.l1.tariff_commitment(self.community, first_interval).map_err(|e| failed(e.into()))?;
        if tariff.commitment() != registered {
            return Err(failed(StatementError::Tariff));
        }
        self.outbox.keep_tariff(period, &tariff)?;
        Ok(tariff)
    }

    /// As [`verify`]. If the receipt before is of a root that L1 has no more, it is from before a reorganisation, and there
    /// is nothing to continue from.
    fn verified(
        &self,
        asked: &Asked,
        receipt: &Receipt,
        own: &Own<'_>,
        tariff: &Tariff,
    ) -> Result<Statement, StatementError> {
        match (verify(asked, receipt, own, tariff, self.l1), own.previous) {
            (Err(StatementError::Continuity), Some(previous)) if !self.l1.is_finalised(previous.root)? => {
                let mut statement = verify(asked, receipt, &Own { previous: None, ..*own }, tariff, self.l1)?;
                statement.notices.push(REORGANISED);
                Ok(statement)
            }
            (outcome, _) => outcome,
        }
    }

    /// Takes every period that became final since the last receipt of the wallet. A wallet without any begins with the
    /// first period whose receipt is this owner's.
    ///
    /// # Errors
    /// [`SyncError`]; what was verified before it is kept.
    pub fn sync(&self, wallet: &mut Wallet) -> Result<Vec<Statement>, SyncError> {
        let community = self.sequencer.community(self.community)?;
        let mut statements = Vec::new();
        for period in &community.settled {
            let first_interval = period.first_interval;
            if wallet.state().receipt.as_ref().is_some_and(|last| last.first_interval >= first_interval) {
                continue;
            }
            // A closed account has no later receipts. What follows is another account, somebody else's or this owner's
            // new one.
            let before = wallet.state().receipt.clone().filter(|last| last.after.meter.is_some());
            let outcome = self.statement(first_interval, before.as_ref(), &wallet.state().signed());
            match outcome {
                // Before this member's time, or after it.
                Err(SyncError::Api(ApiError::Refused(problem)))
                    if before.is_none()
                        && [code::REQUEST_SIGNATURE, code::ACCOUNT_UNKNOWN].iter().any(|code| problem.is(*code)) => {}
                Err(error) => return Err(explained(error, before.as_ref(), first_interval, self, &community)),
                outcome => {
                    let (statement, receipt) = outcome?;
                    wallet.take_receipt(&receipt)?;
                    statements.push(statement);
                }
            }
        }
        Ok(statements)
    }

    /// Takes over what a newer copy of the wallet has handed in, and asks for the state of operations that are not applied
    /// yet. If `resend`, it sends those again that the sequencer does not know. Gives how many were taken over.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn ask_after(&self, wallet: &mut Wallet, resend: bool) -> Result<usize, SyncError> {
        let taken_over = self.take_over(wallet)?;
        let waiting: Vec<_> = wallet.state().waiting().cloned().collect();
        for kept in waiting {
            let progress = match self.sequencer.operation_state(&kept.signed) {
                Ok(OperationState::Refused { code }) => Progress::Refused(code.to_string()),
                // A receipt is to say so.
                Ok(OperationState::Pending | OperationState::Applied { .. }) => Progress::Sent,
                Err(ApiError::Refused(problem)) if problem.is(code::OPERATION_UNKNOWN) => {
                    if resend {
                        self.send(wallet, &kept.signed)?;
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            wallet.note_progress(&kept.id(), &progress)?;
        }
        Ok(taken_over)
    }

    /// Sends an operation that the wallet has kept, and notes a final refusal.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn send(
        &self,
        wallet: &mut Wallet,
        signed: &gridveil_protocol::operation::SignedOperation,
    ) -> Result<Taken, SyncError> {
        let id = hex0(gridveil_protocol::codec::operation_id(signed));
        match self.sequencer.operate(signed) {
            Ok(status) => {
                wallet.note_progress(&id, &Progress::Sent)?;
                Ok(status)
            }
            Err(ApiError::Refused(problem))
                if (400..500).contains(&problem.status) && ![408, 409, 425, 429].contains(&problem.status) =>
            {
                wallet.note_progress(&id, &Progress::Refused(problem.code.to_string()))?;
                Err(ApiError::Refused(problem).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
