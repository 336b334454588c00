//! Issued = retired + outstanding + exported, for one community and period (`docs/spec/audit.md`).
//!
//! [`Published`] is what L1 has; the operator opens the two header leaves ([`PeriodOpening`]); holders show sealed
//! retirements and notes that they still hold. Nothing is taken on trust: headers must hash to the leaves in calldata,
//! statements must open commitments of events, holdings must be proved. That the leaves changed by the rules follows
//! from the batches' proofs, which the contract and `gridveil audit` check.

mod accounts;
mod error;
mod headers;
mod periods;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use gridveil_protocol::{
    certificate::{ShownHolding, ShownRetirement},
    field::Fr,
    header,
    opening::PeriodOpening,
    units::{Interval, Wh},
};
use gridveil_verifier_contract::{AuditorL1, CommunityParams, RollupEffect, RollupEvent, SettledBatch, Word};
use serde::Serialize;

pub use accounts::{AccountError, OpenedBalance, OpenedBill, OpenedReading};
pub use error::{HeldError, SealedError, TotalsError, Which};
pub use periods::Period;

use crate::{
    certificates::{Certificates, RetiredPeriod, Spent},
    date::PeriodAt,
    proof::VerifierError,
};

/// Verifies the proofs of holdings: certificate statements under a domain of their own.
pub trait HoldingVerifier {
    /// Does `proof` hold for these public inputs, under the pinned key of the certificate circuit?
    ///
    /// # Errors
    /// [`VerifierError`] if it cannot be checked.
    fn verify(&self, instance: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError>;
}

/// Certificates of one community and period, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Community.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Intervals of the period.
    pub intervals: u16,
    /// Seconds of an interval.
    pub interval_length_s: u16,
    /// Its batch.
    pub batch: u64,
    /// Issued, by the opened headers.
    pub issued_wh: Wh,
    /// Retired by local trade, by the opened headers.
    pub traded_wh: Wh,
    /// Made into members' notes, by the opened headers: the sum of all that follow.
    pub notes_wh: Wh,
    /// Retired for everybody to see: consumed.
    pub consumed_wh: Wh,
    /// Retired for everybody to see: expired.
    pub expired_wh: Wh,
    /// Exported to another registry.
    pub exported_wh: Wh,
    /// Retired sealed, and shown.
    pub sealed_wh: Wh,
    /// Statements shown.
    pub sealed: usize,
    /// Still held, and shown.
    pub held_wh: Wh,
    /// Notes shown.
    pub held: usize,
    /// Retired sealed or still held, and not shown: the rest.
    pub not_shown_wh: Wh,
}

impl Totals {
    /// Retired, as far as it is known: by local trade, for everybody to see, and sealed where shown.
    #[must_use]
    pub fn retired_wh(&self) -> Wh {
        self.traded_wh + self.consumed_wh + self.expired_wh + self.sealed_wh
    }

    /// Outstanding: held, and what is not shown.
    #[must_use]
    pub fn outstanding_wh(&self) -> Wh {
        self.held_wh + self.not_shown_wh
    }
}

/// What L1 has published of batches and certificates, read once.
#[derive(Debug)]
pub struct Published {
    chain_id: u64,
    contract: [u8; 20],
    communities: BTreeMap<u32, CommunityParams>,
    batches: Vec<SettledBatch>,
    /// Roots that were final.
    roots: BTreeSet<Word>,
    certificates: Certificates,
    /// By nullifier.
    spent: BTreeMap<Word, Spent>,
}

fn refused(clause: &'static str, what: impl Into<String>) -> TotalsError {
    TotalsError::Published { clause, what: what.into() }
}

impl Published {
    /// Reads everything from `from_block` (at most the deployment's block) on.
    ///
    /// # Errors
    /// [`TotalsError::L1`], [`TotalsError::Sequence`], [`TotalsError::Published`].
    pub async fn read(l1: &dyn AuditorL1, from_block: u64) -> Result<Self, TotalsError> {
        // Events before batches: what a certificate discloses is of a period that the batches, read later, have.
        let events = l1.events(from_block).await?;
        let genesis_root = l1.root_at(0).await?;
        let communities =
            l1.communities(from_block).await?.into_iter().map(|params| (params.community, params)).collect();
        let batches = l1.settled_batches(from_block).await?;
        let mut root = genesis_root;
        for (batch, expected) in batches.iter().zip(1..) {
            if batch.batch != expected || batch.old_root != root {
                return Err(TotalsError::Sequence { got: batch.batch, expected });
            }
            root = batch.call.new_root;
        }
        let roots = batches.iter().map(|batch| batch.call.new_root).chain([genesis_root]).collect();
        let mut published = Self {
            chain_id: l1.chain_id().await?,
            contract: l1.contract(),
            communities,
            batches,
            roots,
            certificates: Certificates::default(),
            spent: BTreeMap::new(),
        };
        published.spent(&events)?;
        Ok(published)
    }

    fn spent(&mut self, events: &[RollupEvent]) -> Result<(), TotalsError> {
        let mut next_interval = BTreeMap::new();
        for SettledBatch { call, .. } in &self.batches {
            let m = self.communities.get(&call.community).map_or(0, |params| params.m);
            next_interval.insert(call.community, u64::from(call.first_interval) + u64::from(m));
        }
        for event in events {
            let block = event.block;
            if let RollupEffect::NotesDropped { nullifier, undone: true, .. } = event.effect {
                let spent = self.spent.remove(&nullifier);
                let never = || refused("L1C.10", format!("block {block}: a spending is undone that never was"));
                self.certificates.undo(&spent.ok_or_else(never)?);
                continue;
            }
            let Some(spent) = Spent::of(&event.effect) else { continue };
            if !spent.kind_fits() {
                let kind = spent.kind;
                return Err(refused("L1C.2", format!("block {block}: kind {kind} with other fields than it has")));
            }
            if !spent.canonical() {
                return Err(refused(
                    "L1C.5",
                    format!("block {block}: a word that is not below the modulus, or no note"),
                ));
            }
            if self.spent.insert(spent.nullifier, spent).is_some() {
                return Err(refused("L1C.4", format!("block {block}: a nullifier is used again")));
            }
            self.certificates
                .book(&spent, &self.communities, &next_interval)
                .map_err(|why| refused(why.clause(), format!("block {block}: {why}")))?;
        }
        Ok(())
    }

    /// Checks an opened period, and what holders show of its notes.
    ///
    /// # Errors
    /// [`TotalsError`].
    pub fn totals(
        &self,
        opening: &PeriodOpening,
        sealed: &[ShownRetirement],
        held: &[ShownHolding],
        verifier: Option<&dyn HoldingVerifier>,
    ) -> Result<Totals, TotalsError> {
        let deployment = (opening.chain_id, opening.contract);
        let (batch, params) = self.batch(deployment, opening.community, opening.first_interval)?;
        let [before, after] = self.headers(opening, batch, params)?;
        let grown =
            |what, of: fn(&header::Totals) -> Wh| of(&after).checked_sub(of(&before)).ok_or(TotalsError::Falling(what));
        let (issued_wh, traded_wh, notes_wh) = (
            grown("issued", |t| t.issued)?,
            grown("retired", |t| t.retired)?,
            grown("outstanding", |t| t.outstanding)?,
        );
        if traded_wh.checked_add(notes_wh) != Some(issued_wh) {
            return Err(TotalsError::Conservation { issued_wh, retired_wh: traded_wh, outstanding_wh: notes_wh });
        }
        let origin = (opening.community, opening.first_interval);
        let public = &self.certificates.public;
        let place = public.binary_search_by_key(&origin, |r| (r.community, r.first_interval)).ok();
        let RetiredPeriod { consumed_wh, expired_wh, exported_wh, .. } =
            place.and_then(|at| public.get(at)).copied().unwrap_or_default();
        let sealed_sum = self.sealed(params, opening.first_interval, sealed)?;
        let held_sum = self.held(params, opening.first_interval, held, verifier)?;
        let used_wh =
            [consumed_wh, expired_wh, exported_wh].into_iter().map(u128::from).sum::<u128>() + sealed_sum + held_sum;
        let too_much = TotalsError::TooMuch { used_wh, outstanding_wh: notes_wh };
        let Some(not_shown) = u128::from(notes_wh).checked_sub(used_wh) else { return Err(too_much) };
        // Each is at most what is outstanding by now.
        let small = |sum: u128| u64::try_from(sum).map(Wh).map_err(|_| too_much.clone());
        Ok(Totals {
            community: opening.community,
            first_interval: opening.first_interval,
            intervals: params.m,
            interval_length_s: params.interval_length_s,
            batch: batch.batch,
            issued_wh,
            traded_wh,
            notes_wh,
            consumed_wh,
            expired_wh,
            exported_wh,
            sealed_wh: small(sealed_sum)?,
            sealed: sealed.len(),
            held_wh: small(held_sum)?,
            held: held.len(),
            not_shown_wh: small(not_shown)?,
        })
    }

    /// The batch of a period, for an opening of this deployment.
    fn batch(
        &self,
        deployment: (u64, [u8; 20]),
        community: u32,
        first_interval: Interval,
    ) -> Result<(&SettledBatch, &CommunityParams), TotalsError> {
        if deployment != (self.chain_id, self.contract) {
            return Err(TotalsError::OtherDeployment);
        }
        let params = self.communities.get(&community).ok_or(TotalsError::Community(community))?;
        let period = PeriodAt { first_interval, length_s: Some(params.interval_length_s) };
        let mut of_period = self
            .batches
            .iter()
            .filter(|b| (b.call.community, Interval(b.call.first_interval)) == (community, first_interval));
        let batch = of_period.next().ok_or(TotalsError::NotSettled { community, period })?;
        if of_period.next().is_some() {
            return Err(refused("SETTLE.2", format!("community {community} settles the {period} twice")));
        }
        Ok((batch, params))
    }
}
