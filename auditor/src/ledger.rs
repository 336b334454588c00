//! Follows every event of the contract in order, and compares what batches did with the records of their calldata.
//!
//! A record says what a batch must have done, and the events say what it did. Everything else (deposits, refunds,
//! supplier funds, requests, certificates, the freeze, exits) has events alone. They are checked by the contract's own
//! rules.

mod batch;
mod certificates;
mod ending;
mod vault;

use gridveil_protocol::units::Nano;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gridveil_protocol::record::Parsed;
use gridveil_verifier_contract::{
    Address, CommunityParams, DepositEntry, DepositState as Contracted, RollupEffect as Effect, RollupEvent,
    SettledBatch, Stage, Word,
};
use serde::Serialize;

use batch::Group;
use certificates::Notes;

use crate::{
    certificates::{Certificates, Spent},
    failure::Failure,
    money::Money,
};

/// What the events come to, besides the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Effects followed.
    pub events: u64,
    /// Ever deposited, units.
    pub deposited_units: u64,
    /// Deposits that wait for a batch, units.
    pub open_units: u64,
    /// Given back to depositors, units.
    pub refunded_units: u64,
    /// Put aside for supplier accounts and not moved, units.
    pub supplier_funds_units: u64,
    /// Forced withdrawals that wait.
    pub forced_open: u64,
    /// Slots that left the frozen rollup.
    pub exits: u64,
    /// Sent claims that left it.
    pub claim_exits: u64,
    /// Is the rollup frozen?
    pub frozen: bool,
    /// Were funds, queues and freeze compared with the contract's own?
    pub standing_compared: bool,
    /// Was the pool compared with the contract's own?
    pub pool_compared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DepositState {
    Open,
    RefundRequested,
    Ended,
}

#[derive(Clone, Copy)]
struct Deposit {
    depositor: Address,
    units: u64,
    state: DepositState,
}

/// A request in a forced queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) slot: u32,
    pub(crate) requester: Address,
    pub(crate) payer: Address,
    pub(crate) bond: u128,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Open,
    Received,
    Exited,
}

/// What the replay of the batches found.
pub(crate) struct Settled<'a> {
    pub(crate) count: u64,
    pub(crate) genesis_root: Word,
    pub(crate) communities: &'a BTreeMap<u32, CommunityParams>,
    /// End of the last settled period.
    pub(crate) next_interval: &'a BTreeMap<u32, u64>,
    pub(crate) batches: BTreeMap<u64, &'a SettledBatch>,
    /// Records of the batches whose calldata could be read.
    pub(crate) records: &'a BTreeMap<u64, Vec<Parsed>>,
}

pub(crate) struct Ledger<'a> {
    settled: Settled<'a>,
    money: &'a mut Money,
    books: Books,
    certificates: Certificates,
    deposits: BTreeMap<Word, Deposit>,
    transfers: BTreeMap<Word, Transfer>,
    forced: BTreeMap<u32, VecDeque<Request>>,
    exited: BTreeSet<(u32, u32)>,
    nullifiers: BTreeSet<Word>,
    notes: Notes,
    /// Every root so far.
    roots: BTreeSet<Word>,
    started: BTreeSet<u32>,
    /// Communities on their way to their end.
    stages: BTreeMap<u32, Stage>,
    retired_versions: BTreeSet<u32>,
    paused: bool,
    root: Word,
    batches: u64,
    group: Option<Group>,
    at: Option<u64>,
    last_block: Option<u64>,
    failures: Vec<Failure>,
}

fn short(word: &Word) -> String {
    hex::encode(word.get(..4).unwrap_or_default())
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(settled: Settled<'a>, money: &'a mut Money) -> Self {
        Self {
            root: settled.genesis_root,
            roots: BTreeSet::from([settled.genesis_root]),
            settled,
            money,
            books: Books::default(),
            certificates: Certificates::default(),
            deposits: BTreeMap::new(),
            transfers: BTreeMap::new(),
            forced: BTreeMap::new(),
            exited: BTreeSet::new(),
            nullifiers: BTreeSet::new(),
            notes: Notes::default(),
            started: BTreeSet::new(),
            stages: BTreeMap::new(),
            retired_versions: BTreeSet::new(),
            paused: false,
            batches: 0,
            group: None,
            at: None,
            last_block: None,
            failures: Vec::new(),
        }
    }

    fn fail(&mut self, clause: &'static str, what: impl Into<String>) {
        self.failures.push(Failure { batch: self.at, clause, what: what.into() });
    }

    fn require(&mut self, holds: bool, clause: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(clause, what());
        }
    }

    /// Block to ask for what came since.
    pub(crate) fn next_block(&self, from_block: u64) -> u64 {
        self.last_block.map_or(from_block, |block| block + 1)
    }

    /// Follows events; false if they lead to a batch that this audit leaves to the next.
    pub(crate) fn walk(&mut self, events: &[RollupEvent]) -> bool {
        for event in events {
            if matches!(event.effect, Effect::BatchSettled { batch, .. } if batch > self.settled.count) {
                return false;
            }
            self.require(self.last_block <= Some(event.block), "L1.SEQUENCE", || {
                format!("an effect of block {} comes late", event.block)
            });
            self.last_block = Some(event.block);
            self.books.events += 1;
            self.follow(event);
        }
        self.close();
        true
    }

    fn follow(&mut self, event: &RollupEvent) {
        if let Effect::BatchSettled { batch, .. } = event.effect {
            self.close();
            self.at = Some(batch);
            return self.batch(event);
        }
        if of_batch(&event.effect) {
            return self.effect(event);
        }
        self.close();
        self.live(&event.effect);
        match event.effect {
            Effect::Genesis { root, .. } => self.require(root == self.settled.genesis_root, "STATE.INIT", || {
                "the genesis event has another root".into()
            }),
            Effect::VersionRetired { circuit_version } => _ = self.retired_versions.insert(circuit_version),
            Effect::RestSwept { balance, .. } => self.rest(balance),
            Effect::DepositsPaused { paused } => self.paused = paused,
            Effect::DepositMade { claim, depositor, units } => self.deposited(claim, depositor, units),
            Effect::RefundRequested { claim, .. } => self.refund_requested(claim),
            Effect::Refunded { claim, depositor, units } => self.refunded(claim, depositor, units),
            Effect::SupplierFunded { units } => {
                self.books.supplier_funds_units = self.books.supplier_funds_units.saturating_add(units)
            }
            Effect::SupplierUnfunded { units } => self.supplier_out(units),
            Effect::ForcedRequested { community, slot, requester, payer, bond, .. } => {
                self.requested(community, Request { slot, requester, payer, bond })
            }
            Effect::BondReturned { community, payer, bond } => {
                let head = self.forced.entry(community).or_default().pop_front();
                let fits = self.books.frozen && head.is_some_and(|head| (head.payer, head.bond) == (payer, bond));
                self.require(fits, "FORCED.1", || {
                    format!("a bond of community {community} is returned that is not due")
                });
            }
            Effect::Frozen { community, root } => self.frozen(community, root),
            Effect::FrozenForNotes { number, root } => self.frozen_for_notes(number, root),
            Effect::Exited { community, slot, balance, .. } => self.exit(community, slot, balance),
            Effect::ClaimExited { claim, balance, .. } => self.exit_claim(claim, balance),
            Effect::CertificateSpent { .. } => Spent::of(&event.effect).iter().for_each(|spent| self.spent(spent)),
            Effect::NotesDropped { nullifier, undone, .. } => self.dropped(nullifier, undone),
            Effect::CommunityClosing { community, .. } => self.closing(community),
            Effect::CommunityEnding { community } => self.ending(community),
            Effect::CommunityClosed { community, last_batch } => self.closed(community, last_batch),
            // They change no account here: registries are read as a whole, and L1 alone pays what it owes.
            Effect::ShapeRegistered { .. }
            | Effect::VerifierRegistered { .. }
            | Effect::UpgradeAnnounced { .. }
            | Effect::VerifierFirstUsed { .. }
            | Effect::TariffSetOpened { .. }
            | Effect::TariffRegistered { .. }
            | Effect::CommunityRegistered(_)
            | Effect::Withdrawn { .. }
            | Effect::EthWithdrawn { .. }
            | Effect::FeeWithdrawn { .. } => {}
            // Handled above: a batch, and the effects of its records.
            Effect::BatchSettled { .. }
            | Effect::CommunityInitialised { .. }
            | Effect::Corrected { .. }
            | Effect::DepositConsumed { .. }
            | Effect::WithdrawalCredited { .. }
            | Effect::TransferOpened { .. }
            | Effect::TransferReceived { .. }
            | Effect::SupplierMoved { .. }
            | Effect::ForcedServed { .. }
            | Effect::NoteAppended { .. } => {}
        }
    }

    pub(crate) const fn notes(&self) -> &Notes {
        &self.notes
    }

    pub(crate) fn communities(&self) -> impl Iterator<Item = u32> + use<'_, 'a> {
        self.settled.communities.keys().copied()
    }

    /// The contract's own figures at the end.
    pub(crate) fn standing(&mut self, standing: &Standing) {
        self.at = None;
        let books = self.books;
        let told = |same: Option<bool>| same.unwrap_or(true);
        self.require(told(standing.frozen.map(|frozen| frozen == books.frozen)), "L1.FREEZE", || {
            "the contract is frozen, or is not, otherwise than its events say".into()
        });
        let funds = books.supplier_funds_units;
        self.require(told(standing.supplier_units.map(|units| units == funds)), "VAULT.7", || {
            format!(
                "the contract has {} units for supplier accounts, its events come to {funds}",
                standing.supplier_units.unwrap_or_default()
            )
        });
        let notes =
            standing.notes.as_ref().map(|notes| self.notes.pending(&self.retired_versions).eq(notes.iter().copied()));
        self.require(told(notes), "NOTES.1", || "the contract's queue of notes is not the one of its events".into());
        if let Some(deposits) = &standing.deposits {
            let theirs: BTreeMap<Word, bool> = deposits
                .iter()
                .map(|d| (d.claim, matches!(d.state, Contracted::Consumed | Contracted::Refunded)))
                .collect();
            let ours: BTreeMap<Word, bool> =
                self.deposits.iter().map(|(claim, d)| (*claim, d.state == DepositState::Ended)).collect();
            self.require(theirs == ours, "VAULT.5", || {
                "the contract has other open deposits than its events say".into()
            });
        }
        for (community, queue) in &standing.forced {
            let same = self.forced.entry(*community).or_default().iter().eq(queue);
            self.require(same, "FORCED.1", || {
                format!("the forced queue of community {community} is not the one of its events")
            });
        }
        let pool = self.money.account().pool_nano;
        self.require(told(standing.pool_nano.map(|nano| Nano::from(nano) == pool)), "L1.POOL", || {
            format!(
                "the contract's pool is {} nano, the records come to {}",
                standing.pool_nano.unwrap_or_default(),
                pool.0
            )
        });
        self.books.pool_compared = standing.pool_nano.is_some();
        self.books.standing_compared =
            standing.frozen.is_some() && standing.supplier_units.is_some() && standing.notes.is_some();
    }

    pub(crate) fn finish(mut self) -> (Books, Certificates, Vec<Failure>) {
        self.close();
        let (events, count) = (self.batches, self.settled.count);
        self.require(events == count, "L1.SEQUENCE", || {
            format!("{events} events of batches, the contract counts {count}")
        });
        self.books.forced_open = self.forced.values().map(|queue| queue.len() as u64).sum();
        self.certificates.waiting_notes = self.notes.len();
        (self.books, self.certificates, self.failures)
    }
}

/// What the contract says of itself; `None` where the client cannot tell.
#[derive(Default)]
pub(crate) struct Standing {
    pub(crate) frozen: Option<bool>,
    pub(crate) supplier_units: Option<u64>,
    pub(crate) notes: Option<Vec<Word>>,
    pub(crate) deposits: Option<Vec<DepositEntry>>,
    pub(crate) forced: BTreeMap<u32, Vec<Request>>,
    pub(crate) pool_nano: Option<u64>,
}

/// Only a batch has these effects.
const fn of_batch(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::CommunityInitialised { .. }
            | Effect::Corrected { .. }
            | Effect::DepositConsumed { .. }
            | Effect::WithdrawalCredited { .. }
            | Effect::TransferOpened { .. }
            | Effect::TransferReceived { .. }
            | Effect::SupplierMoved { .. }
            | Effect::ForcedServed { .. }
            | Effect::NoteAppended { .. }
    )
}

/// Its event's name.
fn name(effect: &Effect) -> String {
    let text = format!("{effect:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}
