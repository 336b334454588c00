//! Follows every event of the contract in order, and compares what batches did with the records of their calldata.
//!
//! A record says what a batch must have done, and the events say what it did. Everything else (deposits, refunds,
//! supplier funds, requests, certificates, the freeze, exits) has events alone. They are checked by the contract's own
//! rules.

mod batch;
mod certificates;
mod ending;
mod owed;
mod statements;
mod vault;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gridveil_protocol::record::Parsed;
use gridveil_verifier_contract::{
    Address, Calls, CommunityParams, DepositEntry, DepositState as Contracted, RollupEffect as Effect, RollupEvent,
    SettledBatch, Stage, Vault, Word, deployment::Terms,
};
use serde::Serialize;

use batch::Group;
use certificates::Notes;
use owed::Owed;

use crate::{
    certificates::{Certificates, Spent},
    failure::{Failure, Unverified},
    money::Money,
    proof::ProofVerifier,
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
    /// Exits and claims whose opening was computed here, and leads to the last root.
    pub exits_verified: u64,
    /// Paid to accounts and not fetched by them, smallest parts of the token.
    #[serde(serialize_with = "decimal")]
    pub withdrawable: u128,
    /// Everything that the vault owes, smallest parts of the token: open deposits, funds and pool, and what accounts may
    /// fetch.
    #[serde(serialize_with = "decimal")]
    pub owed: u128,
    /// What the token says that the vault has.
    #[serde(serialize_with = "decimal")]
    pub held: u128,
    /// Bonds of requests that wait, and bonds to give back, wei.
    #[serde(serialize_with = "decimal")]
    pub owed_wei: u128,
    /// The contract's balance of the chain's coin, wei.
    #[serde(serialize_with = "decimal")]
    pub held_wei: u128,
    /// Was what the vault has compared with what it owes?
    pub solvency_compared: bool,
    /// Were funds, queues and freeze compared with the contract's own?
    pub standing_compared: bool,
    /// Was the pool compared with the contract's own?
    pub pool_compared: bool,
}

/// As text: a reader of JSON may have floats alone.
fn decimal<S: serde::Serializer>(value: &u128, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&value.to_string())
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

/// What the replay of the batches found, and whom it asks about proofs.
pub(crate) struct Settled<'a> {
    pub(crate) chain_id: u64,
    pub(crate) contract: Address,
    pub(crate) verifier: &'a dyn ProofVerifier,
    /// Transactions whose calldata an earlier audit has verified.
    pub(crate) remembered: BTreeSet<Word>,
    /// What is fixed, if the client tells.
    pub(crate) terms: Option<Terms>,
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
    /// Every root so far, by the batch that made it.
    roots: BTreeMap<Word, u64>,
    started: BTreeSet<u32>,
    /// Communities on their way to their end.
    stages: BTreeMap<u32, Stage>,
    /// Of closed ones, the last batch before.
    closed_after: BTreeMap<u32, u64>,
    retired_versions: BTreeSet<u32>,
    /// Verifiers that were proven unsound: version and shape.
    unsound: BTreeSet<(u32, u32)>,
    /// Was a verifier hastened, so that members of all communities could leave?
    hastened: bool,
    paused: bool,
    root: Word,
    owed: Owed,
    /// Calls in the calldata of transactions that are followed now.
    calls: BTreeMap<Word, Calls>,
    unverified: Vec<Unverified>,
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
            roots: BTreeMap::from([(settled.genesis_root, 0)]),
            owed: Owed::default(),
            calls: BTreeMap::new(),
            unverified: Vec::new(),
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
            closed_after: BTreeMap::new(),
            retired_versions: BTreeSet::new(),
            unsound: BTreeSet::new(),
            hastened: false,
            paused: false,
            batches: 0,
            group: None,
            at: None,
            last_block: None,
            failures: Vec::new(),
        }
    }

    pub(crate) fn fail(&mut self, clause: &'static str, what: impl Into<String>) {
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

    /// Follows events, with the calls of their transactions; false if they lead to a batch that this audit leaves to the
    /// next.
    pub(crate) fn walk(&mut self, events: &[RollupEvent], calls: BTreeMap<Word, Calls>) -> bool {
        self.calls = calls;
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
            self.owe(&event.effect);
        }
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
            Effect::VerifierUnsound { circuit_version, shape, .. } => _ = self.unsound.insert((circuit_version, shape)),
            Effect::VerifierHastened { shape, .. } => self.hasten(shape),
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
                let over = self.books.frozen || self.stage(community) == Stage::Closed;
                let head = self.forced.entry(community).or_default().pop_front();
                let fits = over && head.is_some_and(|head| (head.payer, head.bond) == (payer, bond));
                self.require(fits, "FORCED.1", || {
                    format!("a bond of community {community} is returned that is not due")
                });
            }
            Effect::Frozen { community, root } => self.frozen(community, root),
            Effect::FrozenForNotes { number, root } => self.frozen_for_notes(number, root),
            Effect::Exited { community, slot, balance, .. } => {
                self.exit(community, slot, balance);
                self.opened(event);
            }
            Effect::ClaimExited { claim, balance, .. } => {
                self.exit_claim(claim, balance);
                self.opened(event);
            }
            Effect::CertificateSpent { .. } => {
                if let Some(spent) = Spent::of(&event.effect) {
                    self.spent(&spent);
                    self.proved(event, &spent);
                }
            }
            Effect::NotesDropped { nullifier, undone, .. } => self.dropped(nullifier, undone),
            Effect::CommunityClosing { community, .. } => self.closing(community),
            Effect::CommunityEnding { community } => self.ending(community),
            Effect::CommunityClosed { community, last_batch } => self.closed(community, last_batch),
            // They change no account here: registries are read as a whole, and L1 alone pays what it owes.
            Effect::ShapeRegistered { .. }
            | Effect::VerifierRegistered { .. }
            | Effect::RoleChanged { .. }
            | Effect::UpgradeAnnounced { .. }
            | Effect::VerifierFirstUsed { .. }
            | Effect::CouncilAppointed { .. }
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
        self.close();
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
        if let Some(vault) = &standing.vault {
            self.solvent(vault);
        }
        self.books.standing_compared =
            standing.frozen.is_some() && standing.supplier_units.is_some() && standing.notes.is_some();
    }

    pub(crate) fn finish(mut self) -> Followed {
        self.close();
        let (events, count) = (self.batches, self.settled.count);
        self.require(events == count, "L1.SEQUENCE", || {
            format!("{events} events of batches, the contract counts {count}")
        });
        self.books.forced_open = self.forced.values().map(|queue| queue.len() as u64).sum();
        self.certificates.waiting_notes = self.notes.len();
        Followed {
            books: self.books,
            certificates: self.certificates,
            failures: self.failures,
            unverified: self.unverified,
        }
    }
}

/// What following the events came to.
pub(crate) struct Followed {
    pub(crate) books: Books,
    pub(crate) certificates: Certificates,
    pub(crate) failures: Vec<Failure>,
    pub(crate) unverified: Vec<Unverified>,
}

/// What the contract says of itself; `None` where the client cannot tell.
#[derive(Default)]
pub(crate) struct Standing {
    pub(crate) frozen: Option<bool>,
    pub(crate) supplier_units: Option<u64>,
    pub(crate) notes: Option<Vec<Word>>,
    pub(crate) deposits: Option<Vec<DepositEntry>>,
    pub(crate) forced: BTreeMap<u32, Vec<Request>>,
    pub(crate) vault: Option<Vault>,
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
