//! What a member does with L1 alone: exits, and collecting what L1 owes. Forced withdrawals are in `force`.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_auditor::genesis::Genesis;
use gridveil_meter_client::wallet::{Exit, PublishedBatch, Source, State};
use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    operation::Change,
    params::{Shape, UNIT_NANO},
    units::Interval,
};
use gridveil_verifier_contract::{DepositState, ExitCall, ExitClaimCall, SettledBatch, Stage, TransferState};

use super::session::{Session, own_chain, read_chain};
use crate::common::{
    chain::Chain,
    details::{Details, agreed, exact, hex0},
    options::Paying,
};

/// Options of `gridveil member collect`.
#[derive(clap::Args, Debug)]
pub struct CollectArgs {
    #[command(flatten)]
    with: Paying,
}

/// Options of `gridveil member exit`.
#[derive(clap::Args, Debug)]
pub struct ExitArgs {
    /// Community nodes published at deployment, where there were any.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    with: Paying,
}

/// Why nobody exits.
const STAYS: &str = "the rollup is not frozen, nor the community closed, nor its verifier proven unsound: withdraw, or force a \
                     withdrawal";
/// Why somebody with less than a unit does not exit in an emergency (COUNCIL.5).
const TOO_LITTLE: &str = "the verifier is proven unsound, and only a balance of a hundredth or more exits then; when another \
                          member has, the community is closed, and any balance does";

/// The contract's own form of an exit.
#[must_use]
pub fn exit_call(exit: &Exit) -> ExitCall {
    let [s1, s2] = exit.salts;
    ExitCall {
        community: exit.community,
        slot: u32::from(exit.slot),
        balance: exit.balance,
        payout: exit.payout,
        s1: to_bytes(&s1),
        s2: to_bytes(&s2),
        private_commitment: to_bytes(&exit.private_commitment),
        header_leaf: to_bytes(&exit.header_leaf),
        certificates_root: to_bytes(&exit.certificates_root),
        siblings: exit.siblings.iter().flatten().map(to_bytes).collect(),
    }
}

fn element(word: &[u8; 32]) -> anyhow::Result<Fr> {
    from_bytes(word).ok().context("L1 has a word that is no field element")
}

/// A batch as L1 has it, as what exits are rebuilt from.
///
/// # Errors
/// A word that is no field element.
pub fn published(batch: &SettledBatch) -> anyhow::Result<PublishedBatch> {
    Ok(PublishedBatch {
        community: batch.call.community,
        first_interval: Interval(batch.call.first_interval),
        community_new: element(&batch.call.community_new)?,
        data: batch.call.data.iter().map(element).collect::<anyhow::Result<_>>()?,
    })
}

/// The exit of the last verified receipt: by its own path while its root is the contract's, else by one rebuilt from
/// L1's calldata.
///
/// # Errors
/// No receipt, a receipt that is not the last settlement's, or published data that does not lead to the root.
pub fn exit_of(state: &State, chain: &Chain, genesis: &[(u32, Fr)]) -> anyhow::Result<Exit> {
    let receipt =
        state.receipt.as_ref().context("no receipt was verified yet: without one there is nothing to exit with")?;
    let root = element(&chain.wait(chain.client().state_root())?)?;
    if receipt.root == root {
        return Ok(Exit::of_receipt(receipt)?);
    }
    let params =
        chain.wait(chain.client().community(receipt.community))?.context("the community is not registered on L1")?;
    let shape = Shape::by_id(params.shape).context("the community's shape is not known")?;
    let batches = chain.wait(chain.client().settled_batches(chain.from_block()))?;
    let batches = batches.iter().map(published).collect::<anyhow::Result<Vec<_>>>()?;
    Exit::from_l1(receipt, shape.members, genesis, &batches, root)
        .map_err(|error| error.dated(params.interval_length_s).into())
}

/// Why a member can leave by an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All of the rollup is frozen.
    Frozen,
    /// The member's community is closed, and the others go on.
    Closed,
    /// A verifier is proven unsound, and the member's exit closes its community (COUNCIL.5).
    Emergency,
}

impl Way {
    /// For people.
    const fn text(self) -> &'static str {
        match self {
            Self::Frozen => "the rollup is frozen",
            Self::Closed => "the community is closed",
            Self::Emergency => "a verifier is proven unsound: the exit closes the community, for ever",
        }
    }
}

/// The way out, if there is one.
fn way_out(chain: &Chain, community: u32) -> anyhow::Result<Option<Way>> {
    if chain.wait(chain.client().is_frozen())? {
        return Ok(Some(Way::Frozen));
    }
    let end = chain.wait(chain.client().end_of(community))?;
    if end.stage == Stage::Closed {
        return Ok(Some(Way::Closed));
    }
    Ok(chain.wait(chain.client().in_emergency(community))?.then_some(Way::Emergency))
}

/// The way out for this exit.
///
/// # Errors
/// There is none.
fn way_of(chain: &Chain, exit: &Exit) -> anyhow::Result<Way> {
    let way = way_out(chain, exit.community)?.context(STAYS)?;
    ensure!(way != Way::Emergency || exit.balance >= UNIT_NANO, TOO_LITTLE);
    Ok(way)
}

/// What was taken out of a frozen rollup or a closed community.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Balance, nano, if it was taken out now.
    pub balance_nano: u64,
    /// Was it out already?
    pub exited_before: bool,
    /// Claims of other members that were paid.
    pub claims: usize,
    /// Deposits that came back.
    pub refunds: usize,
    /// Deposits whose refund was asked for and has to wait, and claims that only a freeze pays.
    pub waiting: usize,
}

/// Takes everything out of a frozen rollup: balance, open claims, deposits that were never taken in. Out of a closed
/// community, or one whose verifier is proven unsound: the balance; refunds are asked for, and fetched once their delay is over; claims stay open, to be received
/// by an account of the same owner in another community.
///
/// # Errors
/// Neither is the rollup frozen nor the community closed, nor is there an emergency, or L1 refuses.
pub fn leave(session: &mut Session, chain: &Chain, exit: &Exit) -> anyhow::Result<Left> {
    let way = way_of(chain, exit)?;
    let mut left = Left::default();
    match chain.wait(chain.client().exit(exit_call(exit))) {
        Ok(_) => left.balance_nano = exit.balance,
        Err(error) if error.is_revert("AlreadyExited") => left.exited_before = true,
        Err(error) => return Err(error.into()),
    }
    let open: Vec<_> = session.wallet.state().incoming.iter().filter(|kept| kept.is_open()).cloned().collect();
    for kept in open {
        let claim = kept.claim;
        let word = to_bytes(&claim.commitment());
        let out = match kept.source {
            Source::Deposit => {
                let refundable = match chain.wait(chain.client().deposit_state(word))? {
                    Some(DepositState::Open) if way != Way::Frozen => {
                        chain.wait(chain.client().request_refund(word))?;
                        left.waiting += 1;
                        false
                    }
                    Some(DepositState::RefundRequested(at))
                        if way != Way::Frozen && chain.wait(chain.client().timestamp())? < at =>
                    {
                        left.waiting += 1;
                        false
                    }
                    state => matches!(state, Some(DepositState::Open | DepositState::RefundRequested(_))),
                };
                if refundable {
                    chain.wait(chain.client().refund(word))?;
                    left.refunds += 1;
                }
                refundable
            }
            Source::Transfer => {
                let open = chain.wait(chain.client().claim_state(word))? == TransferState::Open;
                if open && way != Way::Frozen {
                    left.waiting += 1;
                    continue;
                }
                if open {
                    let [sa, sb] = claim.salts;
                    let (recipient, sa, sb) = (to_bytes(&claim.recipient), to_bytes(&sa), to_bytes(&sb));
                    chain.wait(chain.client().exit_claim(ExitClaimCall {
                        recipient,
                        amount: claim.amount,
                        payout: claim.payout,
                        sa,
                        sb,
                    }))?;
                    left.claims += 1;
                }
                open
            }
        };
        if out {
            session.wallet.drop_incoming(claim.commitment())?;
        }
    }
    Ok(left)
}

pub(super) fn payout(state: &State) -> anyhow::Result<[u8; 20]> {
    Ok(state.account()?.payout)
}

/// Every address that this account was ever paid to: a closed one has none any more, and a changed one may be owed
/// still.
fn payouts(state: &State) -> Vec<[u8; 20]> {
    let receipts = state.receipt.iter().flat_map(|receipt| [receipt.after.payout, receipt.before.payout]);
    let signed = state.operations.iter().filter(|kept| kept.signed.operation.kind.effect().payout == Change::Set);
    let mut all: Vec<_> =
        receipts.chain(signed.map(|kept| kept.signed.operation.payout)).filter(|payout| *payout != [0; 20]).collect();
    let mut seen = BTreeSet::new();
    all.retain(|payout| seen.insert(*payout));
    all
}

/// What L1 owes these addresses.
fn owed(chain: &Chain, accounts: &[[u8; 20]]) -> anyhow::Result<Vec<([u8; 20], u128)>> {
    let all = accounts
        .iter()
        .map(|account| Ok((*account, chain.wait(chain.client().withdrawable(*account))?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|(_, owed)| *owed > 0).collect())
}

fn collect(chain: &Chain, owed: &[([u8; 20], u128)]) -> anyhow::Result<u128> {
    for (account, _) in owed {
        chain.wait(chain.client().withdraw(*account))?;
    }
    Ok(owed.iter().map(|(_, parts)| parts).sum())
}

pub fn run_collect(args: &CollectArgs) -> anyhow::Result<()> {
    let mut session = Session::open_for_l1(&args.with.place)?;
    session.sync_if_served();
    let chain = if args.with.acting.dry_run {
        read_chain(&args.with.place)?
    } else {
        own_chain(&args.with.place, &args.with.key)?
    };
    let owed = owed(&chain, &payouts(session.wallet.state()))?;
    let sum: u128 = owed.iter().map(|(_, parts)| parts).sum();
    // Fees of certificates that no batch took in are owed to who sent them.
    let payer = chain.account().ok();
    let fees = payer.map_or(Ok(0), |payer| chain.wait(chain.client().fee_owed(payer)))?;
    let details = || {
        let details = owed
            .iter()
            .fold(Details::new(""), |details, (account, _)| details.row("paid to", hex0(account), hex0(account)));
        let details = details.row("owed", format!("{sum} smallest parts of the token"), sum.to_string());
        if fees == 0 { details } else { details.row("fees of certificates", format!("{fees} wei"), fees.to_string()) }
    };
    if owed.is_empty() && fees == 0 {
        return details().print(args.with.place.json);
    }
    if agreed(details(), args.with.acting, args.with.place.json)? {
        collect(&chain, &owed)?;
        if let Some(payer) = payer.filter(|_| fees > 0) {
            chain.wait(chain.client().withdraw_fee(payer))?;
        }
        details().row("status", "paid", "paid").print(args.with.place.json)?;
    }
    Ok(())
}

pub fn run_exit(args: &ExitArgs) -> anyhow::Result<()> {
    let mut session = Session::open_for_l1(&args.with.place)?;
    session.sync_if_served();
    let chain = if args.with.acting.dry_run {
        read_chain(&args.with.place)?
    } else {
        own_chain(&args.with.place, &args.with.key)?
    };
    let genesis =
        args.genesis.as_deref().map(Genesis::read).transpose()?.map(|genesis| genesis.nodes()).unwrap_or_default();
    let exit = exit_of(session.wallet.state(), &chain, &genesis)?;
    let way = way_out(&chain, session.community)?;
    let open = session.wallet.state().open_claims();
    let details = || {
        let root = hex0(to_bytes(&exit.root));
        let is = |other: Way| way == Some(other);
        let (frozen, closed, emergency) = (is(Way::Frozen), is(Way::Closed), is(Way::Emergency));
        let shown = way.map_or("none: nothing can be taken out yet", Way::text);
        Details::new("Out of the rollup, by L1 alone")
            .row("balance", exact(exit.balance.into()).trim_start().to_owned(), exit.balance)
            .row("paid to", hex0(exit.payout), hex0(exit.payout))
            .row("open claims", open.to_string(), open)
            .row("state root", root.clone(), root)
            .row("way out", shown, shown)
            .row("frozen", if frozen { "yes" } else { "no" }, frozen)
            .row("closed", if closed { "yes" } else { "no" }, closed)
            .row("emergency", if emergency { "yes" } else { "no" }, emergency)
    };
    if !args.with.acting.dry_run {
        way_of(&chain, &exit).map_err(|why| anyhow::anyhow!("{why} (--dry-run shows what an exit would be)"))?;
    }
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let left = leave(&mut session, &chain, &exit)?;
    let paid = collect(&chain, &owed(&chain, &payouts(session.wallet.state()))?)?;
    let status = if left.exited_before { "the balance was out already" } else { "the balance is out" };
    details()
        .row("status", status, status)
        .row("claims paid", left.claims.to_string(), left.claims)
        .row("deposits back", left.refunds.to_string(), left.refunds)
        .row("wait still", left.waiting.to_string(), left.waiting)
        .row("paid", format!("{paid} smallest parts of the token"), paid.to_string())
        .print(args.with.place.json)
}
