//! Issued = retired + outstanding + exported, for one community and period (`docs/spec/audit.md`).
//!
//! [`Published`] is what L1 has; the operator opens the two header leaves ([`PeriodOpening`]); holders show sealed
//! retirements and notes that they still hold. Nothing is believed: headers must hash to the leaves in calldata,
//! statements open commitments of events, holdings are proved. That the leaves came about by the rules is what the
//! batches' proofs say, which the contract and `gridveil audit` check.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_protocol::{
    certificate::{Kind, Purpose, ShownHolding, ShownRetirement, holding_domain},
    community,
    field::{Fr, from_bytes, to_bytes},
    header::{self, Header},
    opening::PeriodOpening,
    params::Shape,
    record::{self, RecordKind},
    tree::dense_root,
    units::{Interval, Wh},
};
use gridveil_verifier_contract::{CommunityParams, L1Client, L1Error, RollupEffect, RollupEvent, SettledBatch, Word};
use serde::Serialize;

use crate::{
    certificates::{Certificates, RetiredPeriod, Spent, info},
    replay::VerifierError,
    retirement::{Disclosed, RetirementError, opened},
};

/// One of the two headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Before the period's batch.
    Before,
    /// After it.
    After,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Before { "before" } else { "after" })
    }
}

/// Why a period's totals are not what is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotalsError {
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] L1Error),
    /// The batches do not begin with the first, or do not follow one another.
    #[error("L1.SEQUENCE: batch {got} in the place of batch {expected}: is --from-block at most the deployment's?")]
    Sequence {
        /// Found.
        got: u64,
        /// In its place.
        expected: u64,
    },
    /// Something in events or calldata that the contract cannot have done: a node that lies.
    #[error("{clause}: {what}")]
    Published {
        /// Clause of the specification.
        clause: &'static str,
        /// What was found.
        what: String,
    },
    /// Another chain or contract than the one asked.
    #[error("the opening is for another chain or contract")]
    OtherDeployment,
    /// No such community, or one of no known shape.
    #[error("L1 has no community {0} of a known shape")]
    Community(u32),
    /// No batch.
    #[error("L1 has no batch of community {community} for the period from interval {first_interval}")]
    NotSettled {
        /// Community.
        community: u32,
        /// Period.
        first_interval: Interval,
    },
    /// Another period's header.
    #[error("the header {which} the batch is that of another period: it opens the leaf of batch {batch}")]
    Period {
        /// Which.
        which: Which,
        /// Whose leaf it opens.
        batch: u64,
    },
    /// Not the header that was committed.
    #[error("the header {0} the batch does not open to the leaf on L1")]
    Leaf(Which),
    /// The first batch of a community that was in the genesis root, and no way to that root.
    #[error(
        "the header before the community's first batch is in the genesis root, and the opening does not lead there"
    )]
    Genesis,
    /// There was no header before.
    #[error("STATE.INIT: the community began with this batch: there is no header before it to open")]
    Beginning,
    /// Life totals only grow.
    #[error("SETTLE.11: the total of {0} certificates fell in this period")]
    Falling(&'static str),
    /// The opened totals contradict themselves.
    #[error("SETTLE.11: {issued_wh} Wh issued are not {retired_wh} Wh retired and {outstanding_wh} Wh outstanding")]
    Conservation {
        /// Issued.
        issued_wh: Wh,
        /// Retired by local trade.
        retired_wh: Wh,
        /// Outstanding as notes.
        outstanding_wh: Wh,
    },
    /// A sealed retirement.
    #[error("statement {number}: {why}")]
    Sealed {
        /// In the order given, from 1.
        number: usize,
        /// Why not.
        why: SealedError,
    },
    /// A note that is said to be held.
    #[error("holding {number}: {why}")]
    Held {
        /// In the order given, from 1.
        number: usize,
        /// Why not.
        why: HeldError,
    },
    /// More became of the notes than there were.
    #[error("CERT.4: {used_wh} Wh of this period are retired, exported or held, of {outstanding_wh} Wh outstanding")]
    TooMuch {
        /// Retired, exported and shown as held.
        used_wh: u128,
        /// Made into notes.
        outstanding_wh: Wh,
    },
    /// Holdings without a key to check their proofs.
    #[error("no verifying key for holdings")]
    NoVerifier,
    /// A proof that could not be checked.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
}

/// Why a shown statement is not counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// As [`crate::retirement`] finds.
    #[error(transparent)]
    Retirement(#[from] RetirementError),
    /// In the public sum already.
    #[error("the retirement is public: it is counted without its statement")]
    Public,
    /// Of another community or period.
    #[error("the statement is of another origin: community {community}, period from interval {first_interval}")]
    Origin {
        /// Community.
        community: u32,
        /// Period.
        first_interval: Interval,
    },
    /// Shown before.
    #[error("the same retirement was shown before")]
    Twice,
}

/// Why a note is not counted as held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldError {
    /// Another chain or contract.
    #[error("the holding is for another chain or contract")]
    OtherDeployment,
    /// Public inputs of another form.
    #[error("the statement is none of a holding")]
    Form,
    /// Of another community or period.
    #[error("the note is of another origin: community {community}, period from interval {first_interval}")]
    Origin {
        /// Community.
        community: u32,
        /// Period.
        first_interval: Interval,
    },
    /// Not a state that was final.
    #[error("the note is shown under a root that was never final on L1")]
    NotFinal,
    /// Spent.
    #[error("L1 has the note's nullifier: it is spent")]
    Spent,
    /// Shown before.
    #[error("the same note was shown before")]
    Twice,
    /// The proof.
    #[error("the proof does not hold")]
    Proof,
}

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
    pub const fn retired_wh(&self) -> Wh {
        self.traded_wh + self.consumed_wh + self.expired_wh + self.sealed_wh
    }

    /// Outstanding: held, and what is not shown.
    #[must_use]
    pub const fn outstanding_wh(&self) -> Wh {
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
    nullifiers: BTreeSet<Word>,
    retirements: BTreeMap<Word, Disclosed>,
}

fn refused(clause: &'static str, what: impl Into<String>) -> TotalsError {
    TotalsError::Published { clause, what: what.into() }
}

impl Published {
    /// Reads everything from `from_block` (at most the deployment's block) on.
    ///
    /// # Errors
    /// [`TotalsError::L1`], [`TotalsError::Sequence`], [`TotalsError::Published`].
    pub async fn read(l1: &dyn L1Client, from_block: u64) -> Result<Self, TotalsError> {
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
            nullifiers: BTreeSet::new(),
            retirements: BTreeMap::new(),
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
            let RollupEffect::CertificateSpent { nullifier, note_1, note_2, retirement, disclosed, beneficiary, kind } =
                event.effect
            else {
                continue;
            };
            let spent = Spent { nullifier, notes: [note_1, note_2], retirement, disclosed, beneficiary, kind };
            let block = event.block;
            if !spent.kind_fits() {
                return Err(refused("L1C.2", format!("block {block}: kind {kind} with other fields than it has")));
            }
            if !spent.canonical() {
                return Err(refused(
                    "L1C.5",
                    format!("block {block}: a word that is not below the modulus, or no note"),
                ));
            }
            if !self.nullifiers.insert(nullifier) {
                return Err(refused("L1C.4", format!("block {block}: a nullifier is used again")));
            }
            if retirement != Word::default()
                && self.retirements.insert(retirement, Disclosed { disclosed, beneficiary, kind }).is_some()
            {
                return Err(refused("L1C.6", format!("block {block}: a retirement is shown again")));
            }
            self.certificates
                .book(&spent, &self.communities, &next_interval)
                .map_err(|why| refused("CERT.5", format!("block {block}: {why}")))?;
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
        let (batch, params) = self.batch(opening)?;
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
        let small = |sum: u128| Wh::try_from(sum).map_err(|_| too_much.clone());
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

    fn batch(&self, opening: &PeriodOpening) -> Result<(&SettledBatch, &CommunityParams), TotalsError> {
        if (opening.chain_id, opening.contract) != (self.chain_id, self.contract) {
            return Err(TotalsError::OtherDeployment);
        }
        let PeriodOpening { community, first_interval, .. } = *opening;
        let params = self.communities.get(&community).ok_or(TotalsError::Community(community))?;
        let mut of_period =
            self.batches.iter().filter(|b| (b.call.community, b.call.first_interval) == (community, first_interval));
        let batch = of_period.next().ok_or(TotalsError::NotSettled { community, first_interval })?;
        if of_period.next().is_some() {
            return Err(refused(
                "SETTLE.2",
                format!("community {community} settles the period from interval {first_interval} twice"),
            ));
        }
        Ok((batch, params))
    }

    /// The totals before and after, out of headers that open the leaves on L1.
    fn headers(
        &self,
        opening: &PeriodOpening,
        batch: &SettledBatch,
        params: &CommunityParams,
    ) -> Result<[header::Totals; 2], TotalsError> {
        let shape = Shape::by_id(params.shape).ok_or(TotalsError::Community(params.community))?;
        let own = |b: &&SettledBatch| b.call.community == params.community;
        let leaf = self.leaf(Which::After, &opening.after, batch, &shape, params.community)?;
        let after = opening.after.totals;
        let earlier = self.batches.iter().filter(own).take_while(|b| b.batch < batch.batch).last();
        let before = match (&opening.before, earlier) {
            (None, None) if leaf.begins => header::Totals::default(),
            (Some(_), None) if leaf.begins => return Err(TotalsError::Beginning),
            (None, _) => return Err(TotalsError::Leaf(Which::Before)),
            (Some(before), Some(earlier)) => {
                self.leaf(Which::Before, before, earlier, &shape, params.community)?;
                before.totals
            }
            (Some(before), None) => {
                let root = opening.genesis.as_ref().and_then(|place| place.root(before.leaf(), params.community));
                if root.map(|root| to_bytes(&root)) != Some(batch.old_root) {
                    return Err(TotalsError::Genesis);
                }
                before.totals
            }
        };
        Ok([before, after])
    }

    /// The header opens the leaf of this batch.
    fn leaf(
        &self,
        which: Which,
        header: &Header,
        batch: &SettledBatch,
        shape: &Shape,
        community: u32,
    ) -> Result<HeaderLeaf, TotalsError> {
        let published = HeaderLeaf::of(batch, shape)?;
        let opened = to_bytes(&header.leaf());
        if opened == published.leaf {
            return Ok(published);
        }
        let word = |b: &SettledBatch| b.call.data.get(shape.members).copied();
        let other = self.batches.iter().find(|b| b.call.community == community && word(b) == Some(opened));
        Err(other.map_or(TotalsError::Leaf(which), |other| TotalsError::Period { which, batch: other.batch }))
    }

    fn sealed(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        statements: &[ShownRetirement],
    ) -> Result<u128, TotalsError> {
        let mut seen = BTreeSet::new();
        let mut sum = 0;
        for (shown, number) in statements.iter().zip(1..) {
            let failed = |why| TotalsError::Sealed { number, why };
            let (commitment, amount) = self.statement(params, first_interval, shown).map_err(failed)?;
            if !seen.insert(commitment) {
                return Err(failed(SealedError::Twice));
            }
            sum += u128::from(amount);
        }
        Ok(sum)
    }

    /// The commitment and amount of a sealed retirement of this period that L1 has.
    fn statement(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        shown: &ShownRetirement,
    ) -> Result<(Word, Wh), SealedError> {
        if (shown.chain_id, shown.contract) != (self.chain_id, self.contract) {
            return Err(RetirementError::OtherDeployment.into());
        }
        let commitment = opened(shown)?;
        self.retirements.get(&commitment).ok_or(RetirementError::Unknown)?.check(shown)?;
        if !shown.sealed {
            return Err(SealedError::Public);
        }
        let origin = &shown.statement.origin;
        if (origin.community, origin.first_interval, origin.intervals) != (params.community, first_interval, params.m) {
            return Err(SealedError::Origin { community: origin.community, first_interval: origin.first_interval });
        }
        Ok((commitment, shown.statement.amount))
    }

    fn held(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        holdings: &[ShownHolding],
        verifier: Option<&dyn HoldingVerifier>,
    ) -> Result<u128, TotalsError> {
        let mut seen = BTreeSet::new();
        let mut sum = 0;
        for (shown, number) in holdings.iter().zip(1..) {
            let failed = |why| TotalsError::Held { number, why };
            let amount = self.shown(params, first_interval, shown).map_err(failed)?;
            if !seen.insert(to_bytes(&shown.instance.nullifier)) {
                return Err(failed(HeldError::Twice));
            }
            // Last: it costs most.
            if !verifier.ok_or(TotalsError::NoVerifier)?.verify(&shown.instance.rows(), &shown.proof)? {
                return Err(failed(HeldError::Proof));
            }
            sum += u128::from(amount);
        }
        Ok(sum)
    }

    /// The amount of a holding whose public inputs are right; its proof is not looked at.
    fn shown(&self, params: &CommunityParams, first_interval: Interval, shown: &ShownHolding) -> Result<Wh, HeldError> {
        let instance = &shown.instance;
        if (shown.chain_id, shown.contract) != (self.chain_id, self.contract) {
            return Err(HeldError::OtherDeployment);
        }
        // The domain says that this was signed to be shown. A domain of the contract's would be a spending, and whoever
        // sees it could carry it out.
        let form = instance.domain == holding_domain(self.chain_id, &self.contract)
            && instance.kind == Kind::new(false, Purpose::Consumption).code();
        let disclosed = info(&to_bytes(&instance.disclosed)).ok().filter(|_| form).ok_or(HeldError::Form)?;
        if (disclosed.community, disclosed.first_interval, disclosed.m) != (params.community, first_interval, params.m)
        {
            return Err(HeldError::Origin { community: disclosed.community, first_interval: disclosed.first_interval });
        }
        if !self.roots.contains(&to_bytes(&instance.anchor)) {
            return Err(HeldError::NotFinal);
        }
        if self.nullifiers.contains(&to_bytes(&instance.nullifier)) {
            Err(HeldError::Spent)
        } else {
            Ok(disclosed.amount)
        }
    }
}

/// What a batch has published of its community's header.
struct HeaderLeaf {
    leaf: Word,
    /// Did the community begin with this batch?
    begins: bool,
}

impl HeaderLeaf {
    /// SETTLE.13, SETTLE.14: words of the shape that lead to the community's node.
    fn of(batch: &SettledBatch, shape: &Shape) -> Result<Self, TotalsError> {
        let call = &batch.call;
        let number = batch.batch;
        let data: Result<Vec<Fr>, _> = call.data.iter().map(from_bytes).collect();
        let data =
            data.map_err(|_| refused("L1.CANONICAL", format!("batch {number}: a data word is not below the modulus")))?;
        let short = || refused("SETTLE.14", format!("batch {number}: fewer data words than the shape has"));
        let (own, records) = data.split_at_checked(shape.members + 2).ok_or_else(short)?;
        let (leaves, [header_leaf, certificates_root]) = own.split_last_chunk::<2>().ok_or_else(short)?;
        let node = community::node(*header_leaf, dense_root(leaves), *certificates_root);
        if to_bytes(&node) != call.community_new {
            return Err(refused(
                "SETTLE.13",
                format!("batch {number}: the published leaves do not lead to the community's new node"),
            ));
        }
        let records = record::read(records)
            .map_err(|(index, error)| refused("OP.10", format!("batch {number}, record {index}: {error}")))?;
        Ok(Self {
            leaf: to_bytes(header_leaf),
            begins: records.iter().any(|(_, record)| record.kind == RecordKind::Init),
        })
    }
}
