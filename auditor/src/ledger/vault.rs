//! Deposits, refunds, funds for supplier accounts, forced withdrawals, the freeze and exits: effects that belong to no
//! batch, checked by the contract's own rules.

use gridveil_protocol::{
    field::{Fr, from_bytes},
    params::{FORCED_QUEUE, Shape},
    units::Nano,
};
use gridveil_verifier_contract::{Address, RollupEffect as Effect, Stage, Word};

use super::{Deposit, DepositState, Ledger, Request, Transfer, name, short};

impl Ledger<'_> {
    /// What a frozen rollup does no more, and what only a frozen one does.
    pub(super) fn live(&mut self, effect: &Effect) {
        let frozen = self.books.frozen;
        let lives = matches!(
            effect,
            Effect::DepositMade { .. }
                | Effect::SupplierFunded { .. }
                | Effect::ForcedRequested { .. }
                | Effect::Frozen { .. }
                | Effect::CommunityEnding { .. }
                | Effect::CommunityClosed { .. }
                | Effect::FrozenForNotes { .. }
        );
        self.require(!(frozen && lives), "L1.FREEZE", || format!("{} after the freeze", name(effect)));
        let exits = matches!(effect, Effect::Exited { .. } | Effect::ClaimExited { .. } | Effect::RestSwept { .. });
        let closed = matches!(effect, Effect::Exited { community, .. } if self.stage(*community) == Stage::Closed);
        self.require(frozen || closed || !exits, "EXIT.5", || format!("{} before any freeze or end", name(effect)));
    }

    pub(super) fn deposited(&mut self, claim: Word, depositor: Address, units: u64) {
        let canonical = claim != Word::default() && from_bytes::<Fr>(&claim).is_ok() && units > 0;
        self.require(canonical, "VAULT.1", || format!("a deposit of {units} units without a claim"));
        self.require(!self.paused, "L1.PAUSED", || "a deposit while deposits are paused".into());
        let again = self.deposits.insert(claim, Deposit { depositor, units, state: DepositState::Open }).is_some();
        self.require(!again, "VAULT.1", || format!("claim {} is deposited again", short(&claim)));
        self.books.deposited_units = self.books.deposited_units.saturating_add(units);
        self.books.open_units = self.books.open_units.saturating_add(units);
    }

    pub(super) fn refund_requested(&mut self, claim: Word) {
        let open = self.deposits.get_mut(&claim).filter(|deposit| deposit.state == DepositState::Open);
        let fits = open.is_some();
        if let Some(deposit) = open {
            deposit.state = DepositState::RefundRequested;
        }
        self.require(fits, "VAULT.4", || {
            format!("a refund of {} is requested, which is no open deposit", short(&claim))
        });
    }

    pub(super) fn refunded(&mut self, claim: Word, depositor: Address, units: u64) {
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
    pub(super) fn supplier_out(&mut self, units: u64) {
        let left = self.books.supplier_funds_units.checked_sub(units);
        self.require(left.is_some(), "VAULT.7", || {
            format!("{units} units leave the funds for supplier accounts, which have less")
        });
        self.books.supplier_funds_units = left.unwrap_or_default();
    }

    pub(super) fn slots(&self, community: u32) -> u64 {
        let shape = self.settled.communities.get(&community).and_then(|params| Shape::by_id(params.shape));
        shape.map_or(0, |shape| shape.members as u64)
    }

    pub(super) fn requested(&mut self, community: u32, request: Request) {
        self.require(self.started.contains(&community), "FORCED.5", || {
            format!("a request to community {community}, which has not settled")
        });
        self.require(self.stage(community) <= Stage::Closing, "CLOSE.4", || {
            format!("a request to community {community}, which takes none any more")
        });
        let slots = self.slots(community);
        self.require(u64::from(request.slot) < slots, "FORCED.5", || {
            format!("a request for slot {} of {slots}", request.slot)
        });
        let queue = self.forced.entry(community).or_default();
        let room = queue.len() < FORCED_QUEUE
            && queue.iter().all(|r| (r.slot, r.requester) != (request.slot, request.requester));
        queue.push_back(request);
        self.require(room, "FORCED.3", || format!("a request too many, or twice, to community {community}"));
    }

    pub(super) fn frozen(&mut self, community: u32, root: Word) {
        let waits = self.forced.get(&community).is_some_and(|queue| !queue.is_empty());
        self.require(waits, "FORCED.2", || format!("frozen for community {community}, where nobody waits"));
        self.freeze_at(root);
    }

    pub(super) fn freeze_at(&mut self, root: Word) {
        self.require(root == self.root, "L1.FREEZE", || "frozen at another root than the last batch's".into());
        self.books.frozen = true;
    }

    pub(super) fn exit(&mut self, community: u32, slot: u32, balance: u64) {
        self.require(u64::from(slot) < self.slots(community), "EXIT.2", || {
            format!("slot {slot} of community {community} exits, and there is none")
        });
        let first = self.exited.insert((community, slot));
        self.require(first, "EXIT.4", || format!("slot {slot} of community {community} exits again"));
        self.books.exits += 1;
        self.release(balance);
    }

    pub(super) fn exit_claim(&mut self, claim: Word, balance: u64) {
        let open = self.transfers.insert(claim, Transfer::Exited) == Some(Transfer::Open);
        self.require(open, "EXIT.4", || format!("claim {} exits and was not open", short(&claim)));
        self.books.claim_exits += 1;
        self.release(balance);
    }

    /// VAULT.8: the treasury has all that was left. That ten years are over, the contract alone says.
    pub(super) fn rest(&mut self, balance: u64) {
        let left = self.money.account().pool_nano;
        self.require(Nano::from(balance) == left, "VAULT.8", || {
            format!("{balance} nano are swept, the pool has {}", left.0)
        });
        self.release(balance);
    }

    pub(super) fn release(&mut self, nano: u64) {
        if self.money.exit(nano).is_err() {
            self.fail("EXIT.6", format!("an exit of {nano} nano, more than the pool has"));
        }
    }
}
