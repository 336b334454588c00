//! The effects of a batch's records, docs/spec/operations.md.

use gridveil_protocol::record::{Action, RecordKind};

use super::books::{Books, Context};
use super::{require, reverted};
use crate::client::L1Error;
use crate::types::{CommunityParams, RollupEffect as Effect, TariffEntry, Word, tariff_in_force};

/// Records of one batch.
pub(super) const MAX_RECORDS: usize = 256;

/// What a record is checked with.
pub(super) struct Batch<'a> {
    pub(super) params: CommunityParams,
    pub(super) first_interval: u32,
    /// The community settled before.
    pub(super) started: bool,
    /// Of the community's set, in order.
    pub(super) tariffs: &'a [TariffEntry],
}

/// `kind | units<<8 | x<<56`, with 48 and 32 bits.
struct Head {
    kind: RecordKind,
    units: u64,
    x: u32,
}

fn head(word: &Word) -> Result<Head, L1Error> {
    let (zeros, rest) = word.split_at(21);
    let &[x0, x1, x2, x3, u0, u1, u2, u3, u4, u5, kind] = rest else { return reverted("BadRecord") };
    require(zeros.iter().all(|byte| *byte == 0), "BadRecord")?;
    let Ok(kind) = RecordKind::try_from(u64::from(kind)) else { return reverted("BadRecord") };
    Ok(Head {
        kind,
        units: u64::from_be_bytes([0, 0, u0, u1, u2, u3, u4, u5]),
        x: u32::from_be_bytes([x0, x1, x2, x3]),
    })
}

/// An account in a word.
fn account(word: &Word) -> Option<[u8; 20]> {
    let (zeros, account) = word.split_at(12);
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    account.try_into().ok()
}

/// Applies the records, two words each.
pub(super) fn apply(
    books: &mut Books,
    context: &Context,
    batch: &Batch<'_>,
    words: &[Word],
) -> Result<Vec<Effect>, L1Error> {
    let mut effects = Vec::new();
    for (index, pair) in words.chunks_exact(2).enumerate() {
        let [w0, w1] = pair else { return reverted("BadRecord") };
        effects.extend(one(books, context, batch, index, w0, *w1)?);
    }
    Ok(effects)
}

fn one(
    books: &mut Books,
    context: &Context,
    batch: &Batch<'_>,
    index: usize,
    w0: &Word,
    w1: Word,
) -> Result<Vec<Effect>, L1Error> {
    let Head { kind, units, x } = head(w0)?;
    let community = batch.params.community;
    require(x == 0 || kind.has_extra(), "BadRecord")?;
    require(units == 0 || kind.has_units(), "BadRecord")?;
    match kind.action() {
        Action::TakeDeposit => books.consume(w1, units),
        Action::PayAccount => {
            let Some(account) = account(&w1) else { return reverted("BadRecord") };
            books.credit(context, account, units)?;
            Ok(vec![Effect::WithdrawalCredited { account, units }])
        }
        Action::OpenClaim => books.open(w1),
        Action::TakeClaim => books.receive(w1),
        Action::ServeForced => {
            let Some(requester) = account(&w1) else { return reverted("ForcedNotHead") };
            books.serve(context, community, x, requester, units)
        }
        Action::Correct => {
            let in_force = tariff_in_force(batch.tariffs, x)
                .and_then(|index| batch.tariffs.iter().find(|tariff| tariff.index == index));
            require(
                x < batch.first_interval && in_force.is_some_and(|tariff| tariff.commitment == w1),
                "CorrectionTariff",
            )?;
            Ok(vec![Effect::Corrected { community, first_interval: x, tariff_commitment: w1 }])
        }
        action @ (Action::FundPool | Action::PayTreasury) => {
            require(kind.admits(&w1), "BadRecord")?;
            if action == Action::FundPool {
                books.supplier_in(units)?;
            } else {
                books.credit(context, context.terms.treasury, units)?;
            }
            Ok(vec![Effect::SupplierMoved { community, kind: kind.into(), units }])
        }
        Action::AppendNote => books.notes.append(context, community, w1),
        Action::Begin => {
            require(!batch.started && index == 0, "AlreadyInitialised")?;
            require(w1 != [0; 32] && w1 == batch.params.genesis_terms, "NotGenesisTerms")?;
            Ok(vec![Effect::CommunityInitialised { community, genesis_terms: w1 }])
        }
    }
}
