//! Follows every effect that L1 tells, in order, and compares what batches did with the records of their calldata.
//!
//! Two sources, one story: a record says what a batch must have done, the events say what it did. Everything else
//! (deposits, refunds, supplier funds, requests, certificates, the freeze, exits) has events alone, which are judged by
//! the contract's own rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    params::Shape,
    record::{Parsed, RecordKind},
};
use gridveil_verifier_contract::{
    Address, CommunityParams, DepositEntry, DepositState as Contracted, RollupEffect as Effect, RollupEvent,
    SettledBatch, Word,
};
use serde::Serialize;

use crate::{
    certificates::{Certificates, Spent},
    money::Money,
    report::Failure,
};

/// Open requests of one community (FORCED.3).
const MAX_OPEN_REQUESTS: usize = 8;

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

/// The effects that a batch still owes.
struct Group {
    tx: Word,
    expected: VecDeque<(usize, Effect)>,
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
    retirements: BTreeSet<Word>,
    notes: VecDeque<Word>,
    started: BTreeSet<u32>,
    retired_versions: BTreeSet<u32>,
    paused: bool,
    root: Word,
    batches: u64,
    group: Option<Group>,
    at: Option<u64>,
    last_block: Option<u64>,
    failures: Vec<Failure>,
}

/// An account in a word.
fn account(word: &Fr) -> Option<Address> {
    let bytes = to_bytes(word);
    let (zeros, account) = bytes.split_at(12);
    if zeros.iter().any(|byte| *byte != 0) { None } else { account.try_into().ok() }
}

fn short(word: &Word) -> String {
    hex::encode(word.get(..4).unwrap_or_default())
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(settled: Settled<'a>, money: &'a mut Money) -> Self {
        Self {
            root: settled.genesis_root,
            settled,
            money,
            books: Books::default(),
            certificates: Certificates::default(),
            deposits: BTreeMap::new(),
            transfers: BTreeMap::new(),
            forced: BTreeMap::new(),
            exited: BTreeSet::new(),
            nullifiers: BTreeSet::new(),
            retirements: BTreeSet::new(),
            notes: VecDeque::new(),
            started: BTreeSet::new(),
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
            Effect::DepositsPaused { paused } => self.paused = paused,
            Effect::DepositMade { claim, depositor, units } => self.deposited(claim, depositor, units),
            Effect::RefundRequested { claim, .. } => self.refund_requested(claim),
            Effect::Refunded { claim, depositor, units } => self.refunded(claim, depositor, units),
            Effect::SupplierFunded { units } => {
                self.books.supplier_funds_units = self.books.supplier_funds_units.saturating_add(units)
            }
            Effect::SupplierUnfunded { units } => self.supplier_out(units),
            Effect::ForcedRequested { community, slot, requester, bond, .. } => {
                self.requested(community, Request { slot, requester, bond })
            }
            Effect::BondReturned { community, requester, bond } => {
                let head = self.forced.entry(community).or_default().pop_front();
                let fits =
                    self.books.frozen && head.is_some_and(|head| (head.requester, head.bond) == (requester, bond));
                self.require(fits, "FORCED.1", || {
                    format!("a bond of community {community} is returned that is not due")
                });
            }
            Effect::Frozen { community, root } => self.frozen(community, root),
            Effect::Exited { community, slot, balance, .. } => self.exit(community, slot, balance),
            Effect::ClaimExited { claim, balance, .. } => self.exit_claim(claim, balance),
            Effect::CertificateSpent { nullifier, note_1, note_2, retirement, disclosed, beneficiary, kind } => {
                self.spent(&Spent { nullifier, notes: [note_1, note_2], retirement, disclosed, beneficiary, kind });
            }
            // They change no book: registries are read as a whole, and what L1 owes is paid by L1 alone.
            Effect::ShapeRegistered { .. }
            | Effect::VerifierRegistered { .. }
            | Effect::VerifierFirstUsed { .. }
            | Effect::TariffSetOpened { .. }
            | Effect::TariffRegistered { .. }
            | Effect::CommunityRegistered(_)
            | Effect::Withdrawn { .. }
            | Effect::EthWithdrawn { .. } => {}
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

    // ---------------------------------------------------------------- batches

    fn batch(&mut self, event: &RollupEvent) {
        let Effect::BatchSettled { batch, community, first_interval, old_root, new_root, circuit_version } =
            event.effect
        else {
            return;
        };
        self.batches += 1;
        let expected = self.batches;
        self.require(batch == expected, "L1.SEQUENCE", || {
            format!("the event of batch {batch} in the place of batch {expected}")
        });
        self.require(!self.books.frozen, "L1.9", || "a batch was settled after the freeze".into());
        self.require(!self.retired_versions.contains(&circuit_version), "L1.6", || {
            format!("circuit version {circuit_version} was retired")
        });
        let Some(settled) = self.settled.batches.get(&batch).copied() else {
            self.group = None;
            return self.fail("L1.SEQUENCE", "there is an event of this batch and no calldata");
        };
        let call = &settled.call;
        let agrees = (community, first_interval, new_root, circuit_version)
            == (call.community, call.first_interval, call.new_root, call.circuit_version)
            && old_root == settled.old_root
            && event.tx == settled.tx;
        self.require(agrees, "L1.CALLDATA", || "event and calldata of the batch differ".into());
        self.root = new_root;
        let all = self.settled.records;
        let records = all.get(&batch).map(Vec::as_slice);
        let expected = records.map(|records| {
            records
                .iter()
                .enumerate()
                .filter_map(|(index, r)| Some((index, self.record(call.community, index, r)?)))
                .collect()
        });
        self.started.insert(call.community);
        self.group = expected.map(|expected| Group { tx: event.tx, expected });
    }

    /// What a record does to the books, and the effect that L1 must tell of it.
    fn record(&mut self, community: u32, index: usize, record: &Parsed) -> Option<Effect> {
        let Parsed { kind, units, extra, w1 } = *record;
        let word = to_bytes(&w1);
        let effect = match kind {
            RecordKind::Deposit => {
                let open = self.deposits.get_mut(&word).filter(|deposit| deposit.state != DepositState::Ended);
                let fits = open.as_ref().is_some_and(|deposit| deposit.units == units);
                if let Some(deposit) = open {
                    deposit.state = DepositState::Ended;
                    self.books.open_units = self.books.open_units.saturating_sub(deposit.units);
                }
                self.require(fits, "VAULT.5", || {
                    format!("record {index}: takes in {units} units that are no open deposit")
                });
                Effect::DepositConsumed { claim: word, units }
            }
            RecordKind::Withdraw => {
                let Some(account) = account(&w1) else {
                    self.fail("OP.10", format!("record {index}: the payout is no account"));
                    return None;
                };
                Effect::WithdrawalCredited { account, units }
            }
            RecordKind::Send => {
                self.transfers.insert(word, Transfer::Open);
                Effect::TransferOpened { claim: word }
            }
            RecordKind::Receive => {
                self.transfers.insert(word, Transfer::Received);
                Effect::TransferReceived { claim: word }
            }
            RecordKind::Forced => {
                let head = self.forced.entry(community).or_default().pop_front();
                let requester = account(&w1).unwrap_or_default();
                let fits = head.is_some_and(|head| (head.slot, Some(head.requester)) == (extra, account(&w1)));
                self.require(fits, "FORCED.1", || {
                    format!("record {index}: serves slot {extra}, which is not the head of the queue")
                });
                Effect::ForcedServed {
                    community,
                    slot: extra,
                    requester,
                    units,
                    bond: head.map_or(0, |head| head.bond),
                }
            }
            RecordKind::Correction => Effect::Corrected { community, first_interval: extra, tariff_commitment: word },
            RecordKind::SupplierIn | RecordKind::SupplierOut | RecordKind::FeeOut => {
                self.require(word == Word::default(), "OP.10", || {
                    format!("record {index}: a second word that the kind does not have")
                });
                if kind == RecordKind::SupplierIn {
                    self.supplier_out(units);
                }
                Effect::SupplierMoved { community, kind: kind.into(), units }
            }
            RecordKind::Note => {
                let head = self.notes.pop_front();
                self.require(head == Some(word), "NOTES.1", || {
                    format!("record {index}: note {} is not the head of the queue", short(&word))
                });
                Effect::NoteAppended { note: word, community }
            }
            RecordKind::Init => {
                let registered = self.settled.communities.get(&community).map(|params| params.genesis_terms);
                let fits = word != Word::default() && registered == Some(word);
                self.require(fits, "STATE.INIT", || {
                    format!("community {community} begins with terms that were not registered")
                });
                let first = index == 0 && !self.started.contains(&community);
                self.require(first, "STATE.INIT", || {
                    format!("community {community} begins later than with its first record")
                });
                Effect::CommunityInitialised { community, genesis_terms: word }
            }
        };
        Some(effect)
    }

    /// L1.10, from the side of the events.
    fn effect(&mut self, event: &RollupEvent) {
        let tx = event.tx;
        let Some(group) = self.group.as_mut().filter(|group| group.tx == tx) else {
            // A batch whose calldata could not be read is a finding of its own.
            let unread = self.at.is_some_and(|batch| !self.settled.records.contains_key(&batch));
            return self.require(unread, "L1.10", || "an effect that belongs to no batch".into());
        };
        let Some(place) = group.expected.iter().position(|(_, effect)| *effect == event.effect) else {
            return self.fail("L1.10", format!("an effect that no record has: {}", name(&event.effect)));
        };
        let skipped: Vec<(usize, Effect)> = group.expected.drain(..=place).take(place).collect();
        self.missing(skipped);
    }

    fn missing(&mut self, effects: impl IntoIterator<Item = (usize, Effect)>) {
        for (index, effect) in effects {
            self.fail("L1.10", format!("record {index} has no effect on L1: {} is missing", name(&effect)));
        }
    }

    /// The batch's effects are over.
    fn close(&mut self) {
        if let Some(group) = self.group.take() {
            self.missing(group.expected);
        }
        self.at = None;
    }

    // ------------------------------------------------------------------ vault

    /// What a frozen rollup does no more, and what only a frozen one does.
    fn live(&mut self, effect: &Effect) {
        let frozen = self.books.frozen;
        let lives = matches!(
            effect,
            Effect::DepositMade { .. }
                | Effect::SupplierFunded { .. }
                | Effect::ForcedRequested { .. }
                | Effect::Frozen { .. }
        );
        self.require(!(frozen && lives), "L1.FREEZE", || format!("{} after the freeze", name(effect)));
        let exits = matches!(effect, Effect::Exited { .. } | Effect::ClaimExited { .. });
        self.require(frozen || !exits, "EXIT.5", || format!("{} before any freeze", name(effect)));
    }

    fn deposited(&mut self, claim: Word, depositor: Address, units: u64) {
        let canonical = claim != Word::default() && from_bytes::<Fr>(&claim).is_ok() && units > 0;
        self.require(canonical, "VAULT.1", || format!("a deposit of {units} units without a claim"));
        self.require(!self.paused, "L1.PAUSED", || "a deposit while deposits are paused".into());
        let again = self.deposits.insert(claim, Deposit { depositor, units, state: DepositState::Open }).is_some();
        self.require(!again, "VAULT.1", || format!("claim {} is deposited again", short(&claim)));
        self.books.deposited_units = self.books.deposited_units.saturating_add(units);
        self.books.open_units = self.books.open_units.saturating_add(units);
    }

    fn refund_requested(&mut self, claim: Word) {
        let open = self.deposits.get_mut(&claim).filter(|deposit| deposit.state == DepositState::Open);
        let fits = open.is_some();
        if let Some(deposit) = open {
            deposit.state = DepositState::RefundRequested;
        }
        self.require(fits, "VAULT.4", || {
            format!("a refund of {} is requested, which is no open deposit", short(&claim))
        });
    }

    fn refunded(&mut self, claim: Word, depositor: Address, units: u64) {
        let deposit = self.deposits.get(&claim).copied().filter(|deposit| deposit.state != DepositState::Ended);
        let Some(deposit) = deposit else {
            return self.fail("VAULT.5", format!("deposit {} is refunded and was not open", short(&claim)));
        };
        let due = self.books.frozen || deposit.state == DepositState::RefundRequested;
        let fits = due && (deposit.depositor, deposit.units) == (depositor, units);
        self.require(fits, "VAULT.4", || {
            format!("deposit {} is refunded otherwise than it was requested", short(&claim))
        });
        self.deposits.insert(claim, Deposit { state: DepositState::Ended, ..deposit });
        self.books.open_units = self.books.open_units.saturating_sub(deposit.units);
        self.books.refunded_units = self.books.refunded_units.saturating_add(units);
    }

    /// Out of the funds for supplier accounts: into one, or back.
    fn supplier_out(&mut self, units: u64) {
        let left = self.books.supplier_funds_units.checked_sub(units);
        self.require(left.is_some(), "VAULT.7", || {
            format!("{units} units leave the funds for supplier accounts, which have less")
        });
        self.books.supplier_funds_units = left.unwrap_or_default();
    }

    // -------------------------------------------------------- forced and exits

    fn slots(&self, community: u32) -> u64 {
        let shape = self.settled.communities.get(&community).and_then(|params| Shape::by_id(params.shape));
        shape.map_or(0, |shape| shape.members as u64)
    }

    fn requested(&mut self, community: u32, request: Request) {
        self.require(self.started.contains(&community), "FORCED.5", || {
            format!("a request to community {community}, which has not settled")
        });
        let slots = self.slots(community);
        self.require(u64::from(request.slot) < slots, "FORCED.5", || {
            format!("a request for slot {} of {slots}", request.slot)
        });
        let queue = self.forced.entry(community).or_default();
        let room = queue.len() < MAX_OPEN_REQUESTS
            && queue.iter().all(|r| (r.slot, r.requester) != (request.slot, request.requester));
        queue.push_back(request);
        self.require(room, "FORCED.3", || format!("a request too many, or twice, to community {community}"));
    }

    fn frozen(&mut self, community: u32, root: Word) {
        let waits = self.forced.get(&community).is_some_and(|queue| !queue.is_empty());
        self.require(waits, "FORCED.2", || format!("frozen for community {community}, where nobody waits"));
        self.require(root == self.root, "L1.FREEZE", || "frozen at another root than the last batch's".into());
        self.books.frozen = true;
    }

    fn exit(&mut self, community: u32, slot: u32, balance: u64) {
        self.require(u64::from(slot) < self.slots(community), "EXIT.2", || {
            format!("slot {slot} of community {community} exits, and there is none")
        });
        let first = self.exited.insert((community, slot));
        self.require(first, "EXIT.4", || format!("slot {slot} of community {community} exits again"));
        self.books.exits += 1;
        self.release(balance);
    }

    fn exit_claim(&mut self, claim: Word, balance: u64) {
        let open = self.transfers.insert(claim, Transfer::Exited) == Some(Transfer::Open);
        self.require(open, "EXIT.4", || format!("claim {} exits and was not open", short(&claim)));
        self.books.claim_exits += 1;
        self.release(balance);
    }

    fn release(&mut self, nano: u64) {
        if self.money.exit(nano).is_err() {
            self.fail("EXIT.6", format!("an exit of {nano} nano, more than the pool has"));
        }
    }

    // ----------------------------------------------------------- certificates

    fn spent(&mut self, spent: &Spent) {
        self.require(spent.kind_fits(), "L1C.2", || format!("kind {} with other fields than it has", spent.kind));
        let new = self.nullifiers.insert(spent.nullifier);
        self.require(new, "L1C.4", || format!("nullifier {} is used again", short(&spent.nullifier)));
        self.require(spent.canonical(), "L1C.5", || {
            format!("nullifier {}: a word that is not below the modulus, or no note", short(&spent.nullifier))
        });
        if spent.retirement != Word::default() {
            let new = self.retirements.insert(spent.retirement);
            self.require(new, "L1C.6", || format!("retirement {} is shown again", short(&spent.retirement)));
        }
        if self.books.frozen {
            self.require(spent.kind != 0, "L1C.7", || "a certificate is transferred after the freeze".into());
        } else {
            self.notes.extend(spent.notes);
        }
        if let Err(why) = self.certificates.book(spent, self.settled.communities, self.settled.next_interval) {
            self.fail("CERT.5", format!("retirement {}: {why}", short(&spent.retirement)));
        }
    }

    // -------------------------------------------------------------------- end

    pub(crate) fn notes(&self) -> &VecDeque<Word> {
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
        let notes = standing.notes.as_ref().map(|notes| self.notes.iter().eq(notes));
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
        self.require(told(standing.pool_nano.map(|nano| i128::from(nano) == pool)), "L1.POOL", || {
            format!(
                "the contract's pool is {} nano, the records come to {pool}",
                standing.pool_nano.unwrap_or_default()
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
        self.certificates.waiting_notes = self.notes.len() as u64;
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
