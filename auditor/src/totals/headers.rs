//! The opened headers against the leaves on L1.

use gridveil_protocol::{
    community,
    field::{Fr, from_bytes, to_bytes},
    header::{self, Header},
    opening::PeriodOpening,
    params::Shape,
    record::{self, Record, RecordKind},
    tree::dense_root,
};
use gridveil_verifier_contract::{CommunityParams, SettledBatch, Word};

use super::{Published, TotalsError, Which, refused};

impl Published {
    /// The totals before and after, out of headers that open the leaves on L1.
    pub(super) fn headers(
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
    ) -> Result<Leaves, TotalsError> {
        let published = Leaves::of(batch, shape)?;
        let opened = to_bytes(&header.leaf());
        if opened == published.header {
            return Ok(published);
        }
        let word = |b: &SettledBatch| b.call.data.get(shape.members).copied();
        let other = self.batches.iter().find(|b| b.call.community == community && word(b) == Some(opened));
        Err(other.map_or(TotalsError::Leaf(which), |other| TotalsError::Period { which, batch: other.batch }))
    }
}

/// What a batch has published of its community.
pub(super) struct Leaves {
    /// Of the slots.
    pub(super) members: Vec<Fr>,
    header: Word,
    pub(super) records: Vec<Record>,
    /// Did the community begin with this batch?
    begins: bool,
}

impl Leaves {
    /// SETTLE.13, SETTLE.14: words of the shape that lead to the community's node.
    pub(super) fn of(batch: &SettledBatch, shape: &Shape) -> Result<Self, TotalsError> {
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
            members: leaves.to_vec(),
            header: to_bytes(header_leaf),
            begins: records.iter().any(|(_, record)| record.kind == RecordKind::Init),
            records: records.into_iter().map(|(record, _)| record).collect(),
        })
    }
}
