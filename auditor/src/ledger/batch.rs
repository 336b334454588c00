//! What a batch did: the records of its calldata against the events that follow it.

use std::collections::VecDeque;

use gridveil_protocol::{
    field::{Fr, to_bytes},
    record::{Action, Parsed},
};
use gridveil_verifier_contract::{Address, RollupEffect as Effect, RollupEvent, Stage, Word};

use super::{DepositState, Ledger, Transfer, name, short};

/// The effects that a batch still owes.
pub(super) struct Group {
    tx: Word,
    expected: VecDeque<(usize, Effect)>,
}

/// An account in a word.
fn account(word: &Fr) -> Option<Address> {
    let bytes = to_bytes(word);
    let (zeros, account) = bytes.split_at(12);
    if zeros.iter().any(|byte| *byte != 0) { None } else { account.try_into().ok() }
}

impl Ledger<'_> {
    pub(super) fn batch(&mut self, event: &RollupEvent) {
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
        self.require(self.stage(community) != Stage::Closed, "CLOSE.4", || {
            format!("a batch of community {community}, which is closed")
        });
        self.require(!self.retired_versions.contains(&circuit_version), "L1.6", || {
            format!("circuit version {circuit_version} was retired")
        });
        let shape = self.settled.communities.get(&community).map_or(0, |params| params.shape);
        self.require(!self.unsound.contains(&(circuit_version, shape)), "COUNCIL.2", || {
            format!("the verifier of circuit version {circuit_version} and shape {shape} was proven unsound")
        });
        self.roots.insert(new_root, batch);
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
    pub(super) fn record(&mut self, community: u32, index: usize, record: &Parsed) -> Option<Effect> {
        let Parsed { kind, units, extra, w1 } = *record;
        let word = to_bytes(&w1);
        let effect = match kind.action() {
            Action::TakeDeposit => {
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
            Action::PayAccount => {
                let Some(account) = account(&w1) else {
                    self.fail("OP.10", format!("record {index}: the payout is no account"));
                    return None;
                };
                Effect::WithdrawalCredited { account, units }
            }
            Action::OpenClaim => {
                self.transfers.insert(word, Transfer::Open);
                Effect::TransferOpened { claim: word }
            }
            Action::TakeClaim => {
                self.transfers.insert(word, Transfer::Received);
                Effect::TransferReceived { claim: word }
            }
            Action::ServeForced => {
                let head = self.forced.entry(community).or_default().pop_front();
                let requester = account(&w1).unwrap_or_default();
                let fits = head.is_some_and(|head| (head.slot, Some(head.requester)) == (extra, account(&w1)));
                self.require(fits, "FORCED.1", || {
                    format!("record {index}: serves slot {extra}, which is not the head of the queue")
                });
                if let Some(head) = head.filter(|_| units != 0) {
                    self.owed.bond(head.payer, head.bond);
                }
                Effect::ForcedServed {
                    community,
                    slot: extra,
                    requester,
                    units,
                    bond: head.map_or(0, |head| head.bond),
                }
            }
            Action::Correct => Effect::Corrected { community, first_interval: extra, tariff_commitment: word },
            action @ (Action::FundPool | Action::PayTreasury) => {
                self.require(kind.admits(&word), "OP.10", || {
                    format!("record {index}: a second word that the kind does not have")
                });
                if action == Action::FundPool {
                    self.supplier_out(units);
                }
                Effect::SupplierMoved { community, kind: kind.into(), units }
            }
            Action::AppendNote => {
                let (head, version) = self.notes.take().unzip();
                self.require(head == Some(word), "NOTES.1", || {
                    format!("record {index}: note {} is not the head of the queue", short(&word))
                });
                let retired = version.flatten().filter(|version| self.retired_versions.contains(version));
                self.require(retired.is_none(), "L1C.10", || {
                    format!(
                        "record {index}: a note of circuit version {}, which was retired",
                        retired.unwrap_or_default()
                    )
                });
                Effect::NoteAppended { note: word, community }
            }
            Action::Begin => {
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
    pub(super) fn effect(&mut self, event: &RollupEvent) {
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

    pub(super) fn missing(&mut self, effects: impl IntoIterator<Item = (usize, Effect)>) {
        for (index, effect) in effects {
            self.fail("L1.10", format!("record {index} has no effect on L1: {} is missing", name(&effect)));
        }
    }

    /// The batch's effects are over.
    pub(super) fn close(&mut self) {
        if let Some(group) = self.group.take() {
            self.missing(group.expected);
        }
        self.at = None;
    }
}
