//! The fake's vault and forced queue.

use std::collections::{HashMap, HashSet, VecDeque};

use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    params::FORCED_QUEUE,
    poseidon::hash4,
};

use super::notes::Notes;
use super::{MODULUS, MemoryTerms, require, reverted};
use crate::client::L1Error;
use crate::types::{
    Address, DepositEntry, DepositState, ExitCall, ExitClaimCall, ForcedEntry, RollupEffect as Effect, TransferState,
    Vault, Word,
};

/// nano in a unit.
const UNIT: u128 = 10_000_000;
/// nano that may be under the contract.
const CAP_NANO: u128 = 1 << 62;

/// What a transaction knows besides the books.
pub(super) struct Context {
    pub(super) terms: MemoryTerms,
    pub(super) now: u64,
    pub(super) caller: Address,
    pub(super) frozen: bool,
    /// Retired circuit versions.
    pub(super) retired: HashSet<u32>,
}

impl Context {
    /// Smallest parts of the token in some units.
    fn tokens(&self, units: u64) -> u128 {
        u128::from(units) * u128::from(self.terms.token_per_unit)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pool_nano: u128,
    supplier_units: u64,
    /// In order.
    deposits: Vec<DepositEntry>,
    transfers: HashMap<Word, TransferState>,
    withdrawable: HashMap<Address, u128>,
    eth_owed: HashMap<Address, u128>,
    forced: HashMap<u32, VecDeque<ForcedEntry>>,
    /// Unix seconds of a slot's last forced request that was paid, by community and slot.
    forced_paid_at: HashMap<(u32, u32), u64>,
    /// Signed requests of accounts that others sent.
    forced_nonces: HashMap<Address, u64>,
    /// Communities and requests that were there when an upgrade was announced.
    marked: Vec<(u32, ForcedEntry)>,
    /// Unix seconds at which a full queue was served last.
    full_at: Option<u64>,
    exited: HashSet<(u32, u32)>,
    pub(super) notes: Notes,
    /// What the vault has: smallest parts of the token, and wei.
    tokens: u128,
    coin: u128,
}

pub(super) type Effects = Result<Vec<Effect>, L1Error>;

impl Books {
    pub(super) fn deposits(&self) -> impl Iterator<Item = &DepositEntry> {
        self.deposits.iter()
    }

    pub(super) fn transfer(&self, claim: &Word) -> TransferState {
        self.transfers.get(claim).copied().unwrap_or(TransferState::Unknown)
    }

    pub(super) fn withdrawable(&self, account: &Address) -> u128 {
        self.withdrawable.get(account).copied().unwrap_or_default()
    }

    pub(super) fn pool_nano(&self) -> u128 {
        self.pool_nano
    }

    pub(super) fn vault(&self) -> Vault {
        let waits = |deposit: &&DepositEntry| !matches!(deposit.state, DepositState::Consumed | DepositState::Refunded);
        Vault {
            pool_nano: u64::try_from(self.pool_nano).unwrap_or(u64::MAX),
            open_units: self.deposits.iter().filter(waits).map(|deposit| deposit.units).sum(),
            supplier_units: self.supplier_units,
            token_balance: self.tokens,
            coin_balance: self.coin,
        }
    }

    pub(super) fn supplier_units(&self) -> u64 {
        self.supplier_units
    }

    pub(super) fn queue(&self, community: u32) -> Vec<ForcedEntry> {
        self.forced.get(&community).into_iter().flatten().copied().collect()
    }

    /// Marks the open requests of all communities: the state root is one, and a verifier of one community can change all
    /// of it.
    pub(super) fn mark_waiting(&mut self) -> u32 {
        let all = self.forced.iter();
        self.marked = all.flat_map(|(community, queue)| queue.iter().map(|entry| (*community, *entry))).collect();
        self.marked()
    }

    /// How many of the marked ones wait still.
    pub(super) fn marked(&self) -> u32 {
        let waits =
            |(community, entry): &&(u32, ForcedEntry)| self.forced.get(community).is_some_and(|q| q.contains(entry));
        u32::try_from(self.marked.iter().filter(waits).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn forced_nonce(&self, account: &Address) -> u64 {
        self.forced_nonces.get(account).copied().unwrap_or_default()
    }

    pub(super) fn use_forced_nonce(&mut self, account: Address) {
        *self.forced_nonces.entry(account).or_default() += 1;
    }

    pub(super) fn is_any_full(&self) -> bool {
        self.forced.values().any(|queue| queue.len() >= FORCED_QUEUE)
    }

    pub(super) fn full_at(&self) -> Option<u64> {
        self.full_at
    }

    pub(super) fn put_deposit(&mut self, deposit: DepositEntry) {
        self.deposits.retain(|other| other.claim != deposit.claim);
        self.deposits.push(deposit);
    }

    pub(super) fn put_forced(&mut self, community: u32, time: u64, requests: &[(u32, Address)]) {
        let entry = |&(slot, requester)| ForcedEntry { slot, requester, time, payer: requester, bond: 1 };
        self.forced.entry(community).or_default().extend(requests.iter().map(entry));
    }

    pub(super) fn put_pool(&mut self, nano: u64, token_per_unit: u64) {
        self.tokens += u128::from(nano) * u128::from(token_per_unit) / UNIT;
        self.pool_nano = u128::from(nano);
    }

    fn require_room(&self, units: u64) -> Result<(), L1Error> {
        let waits =
            |deposit: &&DepositEntry| matches!(deposit.state, DepositState::Open | DepositState::RefundRequested(_));
        let open: u128 = self.deposits.iter().filter(waits).map(|deposit| u128::from(deposit.units)).sum();
        require(
            self.pool_nano + (open + u128::from(self.supplier_units) + u128::from(units)) * UNIT < CAP_NANO,
            "CapExceeded",
        )
    }

    fn open_deposit(&mut self, claim: &Word, error: &str) -> Result<&mut DepositEntry, L1Error> {
        let found = self.deposits.iter_mut().find(|deposit| deposit.claim == *claim);
        match found {
            Some(deposit) if matches!(deposit.state, DepositState::Open | DepositState::RefundRequested(_)) => {
                Ok(deposit)
            }
            _ => reverted(error),
        }
    }

    pub(super) fn deposit(&mut self, context: &Context, claim: Word, units: u64, block: u64) -> Effects {
        require(!context.frozen, "IsFrozen")?;
        require(units != 0, "ZeroUnits")?;
        require(claim < MODULUS, "NotCanonical")?;
        require(claim != [0; 32] && self.deposits.iter().all(|deposit| deposit.claim != claim), "ClaimUsed")?;
        self.require_room(units)?;
        self.tokens += context.tokens(units);
        self.deposits.push(DepositEntry { claim, depositor: context.caller, units, block, state: DepositState::Open });
        Ok(vec![Effect::DepositMade { claim, depositor: context.caller, units }])
    }

    pub(super) fn request_refund(&mut self, context: &Context, claim: Word) -> Effects {
        let deposit = self.open_deposit(&claim, "NotOpen")?;
        require(deposit.depositor == context.caller, "NotDepositor")?;
        require(deposit.state == DepositState::Open, "RefundAlreadyRequested")?;
        let refundable_at = context.now + context.terms.refund_delay_s;
        deposit.state = DepositState::RefundRequested(refundable_at);
        Ok(vec![Effect::RefundRequested { claim, refundable_at }])
    }

    pub(super) fn refund(&mut self, context: &Context, claim: Word) -> Effects {
        let deposit = self.open_deposit(&claim, "NotOpen")?;
        let due = matches!(deposit.state, DepositState::RefundRequested(at) if at <= context.now);
        require(due || context.frozen, "NotRefundable")?;
        deposit.state = DepositState::Refunded;
        let (depositor, units) = (deposit.depositor, deposit.units);
        self.tokens = self.tokens.saturating_sub(context.tokens(units));
        Ok(vec![Effect::Refunded { claim, depositor, units }])
    }

    /// Record 1.
    pub(super) fn consume(&mut self, claim: Word, units: u64) -> Effects {
        let deposit = self.open_deposit(&claim, "DepositNotOpen")?;
        require(deposit.units == units, "DepositUnits")?;
        deposit.state = DepositState::Consumed;
        self.pool_nano += u128::from(units) * UNIT;
        Ok(vec![Effect::DepositConsumed { claim, units }])
    }

    /// Units out of the pool, to an account.
    pub(super) fn credit(&mut self, context: &Context, account: Address, units: u64) -> Result<(), L1Error> {
        let nano = u128::from(units) * UNIT;
        require(nano <= self.pool_nano, "Insolvent")?;
        self.pool_nano -= nano;
        *self.withdrawable.entry(account).or_default() += u128::from(units) * u128::from(context.terms.token_per_unit);
        Ok(())
    }

    /// Record 3.
    pub(super) fn open(&mut self, claim: Word) -> Effects {
        require(self.transfer(&claim) == TransferState::Unknown, "TransferNotNew")?;
        self.transfers.insert(claim, TransferState::Open);
        Ok(vec![Effect::TransferOpened { claim }])
    }

    /// Record 4.
    pub(super) fn receive(&mut self, claim: Word) -> Effects {
        require(self.transfer(&claim) == TransferState::Open, "TransferNotOpen")?;
        self.transfers.insert(claim, TransferState::Received);
        Ok(vec![Effect::TransferReceived { claim }])
    }

    pub(super) fn fund_supplier_account(&mut self, context: &Context, units: u64) -> Effects {
        require(!context.frozen, "IsFrozen")?;
        require(units != 0, "ZeroUnits")?;
        self.require_room(units)?;
        self.supplier_units += units;
        self.tokens += context.tokens(units);
        Ok(vec![Effect::SupplierFunded { units }])
    }

    /// Record 16.
    pub(super) fn supplier_in(&mut self, units: u64) -> Result<(), L1Error> {
        require(units <= self.supplier_units, "SupplierShort")?;
        self.supplier_units -= units;
        self.pool_nano += u128::from(units) * UNIT;
        Ok(())
    }

    pub(super) fn withdraw(&mut self, account: Address) -> Effects {
        match self.withdrawable.remove(&account) {
            Some(amount) if amount > 0 => {
                self.tokens = self.tokens.saturating_sub(amount);
                Ok(vec![Effect::Withdrawn { account, amount }])
            }
            _ => reverted("NothingToWithdraw"),
        }
    }

    pub(super) fn withdraw_eth(&mut self, account: Address) -> Effects {
        match self.eth_owed.remove(&account) {
            Some(amount) if amount > 0 => {
                self.coin = self.coin.saturating_sub(amount);
                Ok(vec![Effect::EthWithdrawn { account, amount }])
            }
            _ => reverted("NothingToWithdraw"),
        }
    }

    pub(super) fn bonds_owed(&self, account: &Address) -> u128 {
        self.eth_owed.get(account).copied().unwrap_or_default()
    }

    /// Everybody leaves the queue, without having been served.
    pub(super) fn return_bonds(&mut self, context: &Context, community: u32) -> Vec<Effect> {
        let queue = self.forced.remove(&community).unwrap_or_default();
        if queue.len() >= FORCED_QUEUE {
            self.full_at = Some(context.now);
        }
        let mut effects = Vec::new();
        for ForcedEntry { payer, bond, .. } in queue {
            *self.eth_owed.entry(payer).or_default() += bond;
            effects.push(Effect::BondReturned { community, payer, bond });
        }
        effects
    }

    pub(super) fn force_withdraw(
        &mut self,
        context: &Context,
        community: u32,
        slot: u32,
        requester: Address,
    ) -> Effects {
        let queue = self.forced.entry(community).or_default();
        require(queue.len() < FORCED_QUEUE, "QueueFull")?;
        require(queue.iter().all(|entry| (entry.slot, entry.requester) != (slot, requester)), "AlreadyQueued")?;
        let paid_at = self.forced_paid_at.get(&(community, slot));
        require(paid_at.is_none_or(|at| context.now >= at + context.terms.forced_deadline_s), "SlotPaidLately")?;
        let bond = context.terms.forced_bond_wei << queue.len();
        queue.push_back(ForcedEntry { slot, requester, time: context.now, payer: context.caller, bond });
        self.coin += bond;
        let position = u32::try_from(queue.len() - 1).unwrap_or(u32::MAX);
        Ok(vec![Effect::ForcedRequested { community, slot, requester, position, payer: context.caller, bond }])
    }

    /// Record 10.
    pub(super) fn serve(
        &mut self,
        context: &Context,
        community: u32,
        slot: u32,
        requester: Address,
        units: u64,
    ) -> Effects {
        let queue = self.forced.entry(community).or_default();
        if queue.len() >= FORCED_QUEUE {
            self.full_at = Some(context.now);
        }
        let head = queue.pop_front();
        let Some(ForcedEntry { bond, payer, .. }) =
            head.filter(|head| (head.slot, head.requester) == (slot, requester))
        else {
            return reverted("ForcedNotHead");
        };
        if units > 0 {
            self.credit(context, requester, units)?;
            *self.eth_owed.entry(payer).or_default() += bond;
            self.forced_paid_at.insert((community, slot), context.now);
        }
        Ok(vec![Effect::ForcedServed { community, slot, requester, units, bond }])
    }

    fn release(&mut self, context: &Context, payout: Address, balance: u64) -> Result<u128, L1Error> {
        require(u128::from(balance) <= self.pool_nano, "PoolShort")?;
        self.pool_nano -= u128::from(balance);
        let amount = u128::from(balance) * u128::from(context.terms.token_per_unit) / UNIT;
        *self.withdrawable.entry(payout).or_default() += amount;
        Ok(amount)
    }

    pub(super) fn exit(&mut self, context: &Context, call: &ExitCall) -> Effects {
        let ExitCall { community, slot, payout, balance, .. } = *call;
        require(self.exited.insert((community, slot)), "AlreadyExited")?;
        let amount = self.release(context, payout, balance)?;
        Ok(vec![Effect::Exited { community, slot, payout, balance, amount }])
    }

    pub(super) fn exit_claim(&mut self, context: &Context, call: &ExitClaimCall) -> Effects {
        require(context.frozen, "NotFrozen")?;
        let mut packed = [0; 32];
        packed[4..24].copy_from_slice(&call.payout);
        packed[24..].copy_from_slice(&call.amount.to_be_bytes());
        let opened: Option<Vec<Fr>> =
            [call.recipient, packed, call.sa, call.sb].iter().map(|word| from_bytes(word).ok()).collect();
        let Some(&[recipient, packed, sa, sb]) = opened.as_deref() else { return reverted("NotCanonical") };
        let claim = to_bytes(&hash4([recipient, packed, sa, sb]));
        require(self.transfer(&claim) == TransferState::Open, "ClaimNotOpen")?;
        let amount = self.release(context, call.payout, call.amount)?;
        self.transfers.insert(claim, TransferState::Exited);
        Ok(vec![Effect::ClaimExited { claim, payout: call.payout, balance: call.amount, amount }])
    }
}
