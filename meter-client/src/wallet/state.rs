//! What a wallet holds.

use gridveil_protocol::{
    account::Account,
    certificate::{NotePath, Retirement, RetirementStatement, SpendPlan},
    codec::operation_id,
    field::{Fr, hex_fr},
    hex::hex0,
    note::Note,
    operation::{ClaimOf, SignedOperation, slot::OperationSlot},
    owner::NullifierKey,
    receipt::Receipt,
    schnorr::SecretKey,
    units::{Interval, Wh},
};
use serde::{Deserialize, Serialize};

use super::WalletError;
use crate::operation::{Actor, Claim};

/// How far an operation came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Signed and kept, perhaps not sent.
    Signed,
    /// A consent: the meter data manager may sign it too and send it, or not.
    Consented,
    /// The sequencer has it.
    Sent,
    /// In the receipt of this period.
    Applied(Interval),
    /// The sequencer refused it, with this code. Its signature is still valid for its nonce.
    Refused(String),
    /// Its nonce was used by another operation.
    Superseded,
}

/// A signed operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOperation {
    /// The bytes that are sent, each time the same.
    pub signed: SignedOperation,
    /// How far it came.
    pub progress: Progress,
}

impl KeptOperation {
    /// [`operation_id`] in hex.
    #[must_use]
    pub fn id(&self) -> String {
        hex0(operation_id(&self.signed))
    }

    /// Is it not applied yet, as far as this wallet knows?
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.progress, Progress::Signed | Progress::Sent)
    }

    /// Could a settlement still take it?
    const fn is_undecided(&self) -> bool {
        self.waits() || matches!(self.progress, Progress::Consented)
    }
}

/// Where an incoming claim is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A deposit on L1.
    Deposit,
    /// Another member.
    Transfer,
}

/// A claim for this account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// Its opening.
    pub claim: Claim,
    /// Where it is from.
    pub source: Source,
    /// Is it on L1? A deposit is kept before it is made.
    pub on_l1: bool,
    /// Was it taken in, by a receipt?
    pub taken: bool,
    /// Was it given up: refunded, or never made?
    #[serde(default)]
    pub dropped: bool,
}

impl Incoming {
    /// Could it still be taken in?
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.taken && !self.dropped
    }
}

/// A certificate note of this owner (or of a key it had before).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptNote {
    /// Its opening.
    pub note: Note,
    /// Its path to a root that was final, once it is known.
    pub path: Option<NotePath>,
    /// Is it spent, by L1's word?
    pub spent: bool,
}

/// A spending, kept before it is sent: the openings of the new notes are in it and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSpend {
    /// What is spent, and into what.
    pub plan: SpendPlan,
    /// Of the note.
    #[serde(with = "hex_fr")]
    pub nullifier: Fr,
    /// Is it on L1?
    pub done: bool,
    /// Was it given up before L1 had it? L1 may still accept it, so its openings stay.
    #[serde(default)]
    pub abandoned: bool,
    /// Have its new notes left L1's queue? From then on nothing undoes it.
    #[serde(default)]
    pub settled: bool,
}

impl KeptSpend {
    /// Is it on its way?
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.done && !self.abandoned
    }
}

/// A retirement's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRetirement {
    /// To show.
    pub statement: RetirementStatement,
    /// Was only its commitment published?
    pub sealed: bool,
    /// Transaction, `0x…`, if known.
    pub tx: Option<String>,
}

/// Everything of one slot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of this format: 1.
    pub format: u32,
    /// How often it was written.
    pub revision: u64,
    /// Name of the deployment ([`gridveil_protocol::version::Domains::name`]).
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// The last verified receipt: the opening of the leaf.
    pub receipt: Option<Receipt>,
    /// Every operation ever signed, in order.
    pub operations: Vec<KeptOperation>,
    /// Claims for this account.
    pub incoming: Vec<Incoming>,
    /// Claims this account opened for others.
    pub outgoing: Vec<Claim>,
    /// Certificate notes.
    pub notes: Vec<KeptNote>,
    /// Spendings of them.
    pub spends: Vec<KeptSpend>,
    /// Statements to show.
    pub retirements: Vec<KeptRetirement>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("revision", &self.revision).field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl State {
    /// It goes up whenever the file is written differently, names in its JSON included.
    pub(super) const FORMAT: u32 = 2;

    pub(super) const fn new(domain: Fr, community: u32, slot: u16) -> Self {
        Self {
            format: Self::FORMAT,
            revision: 0,
            domain,
            community,
            slot,
            receipt: None,
            operations: Vec::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            notes: Vec::new(),
            spends: Vec::new(),
            retirements: Vec::new(),
        }
    }

    /// The account of the last receipt.
    ///
    /// # Errors
    /// [`WalletError::NoReceipt`].
    pub fn account(&self) -> Result<&Account, WalletError> {
        self.receipt.as_ref().map(|receipt| &receipt.after).ok_or(WalletError::NoReceipt)
    }

    /// Operations that a settlement may still take, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &KeptOperation> {
        self.operations.iter().filter(|kept| kept.waits())
    }

    /// Every operation ever signed, for a statement.
    #[must_use]
    pub fn signed(&self) -> Vec<SignedOperation> {
        self.operations.iter().map(|kept| kept.signed.clone()).collect()
    }

    /// Incoming claims that only the present key can take in.
    #[must_use]
    pub fn open_claims(&self) -> usize {
        self.incoming.iter().filter(|incoming| incoming.is_open()).count()
    }

    /// Who signs next: the account as it will be after the operations that are not applied yet. It signs under the circuit
    /// version that deployments are named by; after an upgrade, [`Actor::under`] another.
    ///
    /// # Errors
    /// [`WalletError::NoReceipt`].
    pub fn actor<'a>(&self, secret: &'a SecretKey) -> Result<Actor<'a>, WalletError> {
        let receipt = self.receipt.as_ref().ok_or(WalletError::NoReceipt)?;
        let waiting: Vec<_> = self.waiting().collect();
        let account = waiting
            .iter()
            .fold(receipt.after.clone(), |account, kept| OperationSlot::compute(&account, &kept.signed).after);
        let period = u32::try_from(receipt.lines.len()).unwrap_or(0);
        Ok(Actor {
            domain: self.domain,
            community: self.community,
            slot: self.slot,
            secret,
            account,
            waiting: waiting.len(),
            open_interval: receipt.first_interval.saturating_add(period),
        })
    }

    pub(super) fn keep_operation(&mut self, signed: &SignedOperation) -> Result<(), WalletError> {
        if signed.operation.community != self.community || signed.operation.slot != self.slot {
            return Err(WalletError::OtherSlot);
        }
        if self.operations.iter().any(|kept| kept.signed == *signed) {
            return Ok(());
        }
        if self.waiting().any(|kept| kept.signed.operation.nonce == signed.operation.nonce) {
            return Err(WalletError::NonceTaken { nonce: signed.operation.nonce });
        }
        self.operations.push(KeptOperation { signed: signed.clone(), progress: Progress::Signed });
        Ok(())
    }

    pub(super) fn keep_consent(&mut self, signed: &SignedOperation) -> Result<(), WalletError> {
        if signed.operation.community != self.community || signed.operation.slot != self.slot {
            return Err(WalletError::OtherSlot);
        }
        if !self.operations.iter().any(|kept| kept.signed == *signed) {
            self.operations.push(KeptOperation { signed: signed.clone(), progress: Progress::Consented });
        }
        Ok(())
    }

    /// The sequencer's answer about an operation. If it refused one, those with later nonces are refused with it.
    pub(super) fn note_progress(&mut self, id: &str, progress: &Progress) {
        let Some(nonce) = self.operations.iter().find(|kept| kept.id() == id).map(|kept| kept.signed.operation.nonce)
        else {
            return;
        };
        for kept in self.operations.iter_mut().filter(|kept| kept.waits()) {
            let own = kept.id() == id;
            let follows = matches!(progress, Progress::Refused(_)) && kept.signed.operation.nonce > nonce;
            if own || follows {
                kept.progress = progress.clone();
            }
        }
    }

    /// Takes a receipt that was verified: the new opening, what was applied, the period's note. Of one that is older than
    /// the last, because it came back later, what was applied and the note.
    pub(super) fn take_receipt(&mut self, receipt: &Receipt) -> Result<(), WalletError> {
        if (receipt.community, receipt.slot) != (self.community, self.slot) {
            return Err(WalletError::OtherSlot);
        }
        let newest = self.receipt.as_ref().is_none_or(|last| last.first_interval < receipt.first_interval);
        for signed in &receipt.operations {
            self.take_over(signed, &Progress::Applied(receipt.first_interval));
            self.applied(signed, receipt.first_interval);
        }
        let next = receipt.after.nonce;
        for kept in self.operations.iter_mut().filter(|kept| kept.is_undecided() && kept.signed.operation.nonce < next)
        {
            kept.progress = Progress::Superseded;
        }
        let note = receipt.note();
        let known = self.notes.iter().any(|kept| kept.note == note && kept.path.is_some());
        if note.amount > Wh::ZERO && receipt.before.meter.is_some() && (newest || !known) {
            let path = super::certificates::path_of_receipt(receipt);
            self.keep_note(note, path);
        }
        if newest {
            self.receipt = Some(receipt.clone());
        }
        Ok(())
    }

    fn applied(&mut self, signed: &SignedOperation, first_interval: Interval) {
        for kept in self.operations.iter_mut().filter(|kept| kept.signed.operation == signed.operation) {
            kept.progress = Progress::Applied(first_interval);
        }
        if signed.operation.kind.effect().claim == Some(ClaimOf::Owner) {
            for incoming in &mut self.incoming {
                if signed.operation.claim(incoming.claim.recipient) == incoming.claim.commitment() {
                    incoming.taken = true;
                }
            }
        }
    }

    pub(super) fn keep_incoming(&mut self, incoming: &Incoming) {
        let commitment = incoming.claim.commitment();
        match self.incoming.iter_mut().find(|kept| kept.claim.commitment() == commitment) {
            Some(kept) => kept.on_l1 |= incoming.on_l1,
            None => self.incoming.push(incoming.clone()),
        }
    }

    pub(super) fn keep_note(&mut self, note: Note, path: Option<NotePath>) {
        let commitment = note.commitment();
        match self.notes.iter_mut().find(|kept| kept.note.commitment() == commitment) {
            Some(kept) => kept.path = path.or_else(|| kept.path.take()),
            None => self.notes.push(KeptNote { note, path, spent: false }),
        }
    }

    /// Keeps a spending; its change goes to the notes at once, although it has no path yet.
    pub(super) fn keep_spend(&mut self, plan: &SpendPlan, secret: &SecretKey) -> Result<Fr, WalletError> {
        let nullifier = NullifierKey::of(secret).nullifier(plan.note.commitment());
        match self.spends.iter().find(|kept| kept.nullifier == nullifier && !kept.abandoned) {
            Some(kept) if kept.plan == *plan => return Ok(nullifier),
            Some(_) => return Err(WalletError::SpendKept),
            None => {}
        }
        self.keep_outputs(plan);
        match self.spends.iter_mut().find(|kept| kept.nullifier == nullifier && kept.plan == *plan) {
            Some(kept) => kept.abandoned = false,
            None => self.spends.push(KeptSpend {
                plan: plan.clone(),
                nullifier,
                done: false,
                abandoned: false,
                settled: false,
            }),
        }
        Ok(nullifier)
    }

    /// The outputs of a spending that belong to the spender.
    fn keep_outputs(&mut self, plan: &SpendPlan) {
        for note in plan.notes().into_iter().filter(|note| note.owner == plan.note.owner && note.amount > Wh::ZERO) {
            self.keep_note(note, None);
        }
    }

    /// Gives a spending up: its note can be spent in another way, and its change is no note any more. The plan
    /// stays, as it could still land.
    pub(super) fn abandon(&mut self, nullifier: Fr) -> Result<(), WalletError> {
        let spend = self
            .spends
            .iter_mut()
            .find(|kept| kept.nullifier == nullifier && kept.is_open())
            .ok_or(WalletError::NotSpending)?;
        spend.abandoned = true;
        let notes = spend.plan.notes().map(|note| note.commitment());
        self.notes.retain(|kept| kept.path.is_some() || !notes.contains(&kept.note.commitment()));
        Ok(())
    }

    /// Spendings that L1 has and may still undo, by nullifier.
    pub fn unsettled(&self) -> impl Iterator<Item = Fr> {
        self.spends.iter().filter(|kept| kept.done && !kept.settled).map(|kept| kept.nullifier)
    }

    /// The new notes of a spending have left L1's queue: for the state, or undone with it. Then the note can be spent
    /// again, its change is no note any more, and what it retired is not retired. The plan stays, given up.
    pub(super) fn decided(&mut self, nullifier: Fr, undone: bool) {
        let Some(spend) = self.spends.iter_mut().find(|kept| kept.nullifier == nullifier && kept.done) else { return };
        spend.settled = !undone;
        if !undone {
            return;
        }
        (spend.done, spend.abandoned) = (false, true);
        let spent = spend.plan.note.commitment();
        let outputs = spend.plan.notes().map(|note| note.commitment());
        let retired = spend.plan.statement();
        self.notes.iter_mut().filter(|kept| kept.note.commitment() == spent).for_each(|kept| kept.spent = false);
        self.notes.retain(|kept| kept.path.is_some() || !outputs.contains(&kept.note.commitment()));
        self.retirements.retain(|kept| Some(&kept.statement) != retired.as_ref());
    }

    /// A spending is on L1: the one that is on its way.
    pub(super) fn spent(&mut self, nullifier: Fr, tx: Option<&str>) {
        let Some(spend) = self.spends.iter().find(|kept| kept.nullifier == nullifier && !kept.abandoned) else {
            return;
        };
        let notes = spend.plan.notes().map(|note| note.commitment());
        let retirement = spend.plan.statement().map(|statement| statement.commitment());
        self.landed(nullifier, notes, retirement.unwrap_or_default(), tx);
    }

    /// A spending of the note with this nullifier is on L1, into these notes and this retirement (zero if none). Is it
    /// one of the plans kept here? It counts even if it was abandoned, and the others are given up.
    pub(super) fn landed(&mut self, nullifier: Fr, notes: [Fr; 2], retirement: Fr, tx: Option<&str>) -> bool {
        let is = |plan: &SpendPlan| {
            let own = plan.statement().map(|statement| statement.commitment()).unwrap_or_default();
            plan.notes().map(|note| note.commitment()) == notes && own == retirement
        };
        let Some(spent) =
            self.spends.iter().find(|kept| kept.nullifier == nullifier).map(|kept| kept.plan.note.commitment())
        else {
            return false;
        };
        self.notes.iter_mut().filter(|kept| kept.note.commitment() == spent).for_each(|kept| kept.spent = true);
        let mut found = None;
        let mut never = Vec::new();
        for kept in self.spends.iter_mut().filter(|kept| kept.nullifier == nullifier) {
            let landed = found.is_none() && is(&kept.plan);
            (kept.done, kept.abandoned) = (landed, !landed);
            if landed {
                found = Some(kept.plan.clone());
            } else {
                never.extend(kept.plan.notes().map(|note| note.commitment()));
            }
        }
        self.notes.retain(|kept| {
            kept.path.is_some() || notes.contains(&kept.note.commitment()) || !never.contains(&kept.note.commitment())
        });
        let Some(plan) = found else { return false };
        self.keep_outputs(&plan);
        let sealed = plan.retirement.as_ref().is_some_and(|retirement: &Retirement| retirement.sealed);
        if let Some(statement) = plan.statement()
            && !self.retirements.iter().any(|kept| kept.statement == statement)
        {
            self.retirements.push(KeptRetirement { statement, sealed, tx: tx.map(str::to_owned) });
        }
        true
    }
}
