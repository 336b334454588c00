//! What the replay checks of one batch.

use gridveil_protocol::{
    community,
    field::{Fr, from_bytes, to_bytes},
    instance::{Instance, data_challenge, data_evaluation, domain, period},
    params::Shape,
    record::{self, Parsed, Record, RecordKind},
    tree::dense_root,
    units::Interval,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{CommunityParams, SettledBatch, Word};

use super::Replay;
use crate::{date::utc, proof::VerifierError};

/// A batch whose words are field elements.
struct Elements {
    old_root: Fr,
    new_root: Fr,
    community_new: Fr,
    tariff_commitment: Fr,
    data: Vec<Fr>,
}

impl Replay<'_> {
    /// Everything that one batch states, in the order of the specification.
    pub(super) fn batch(&mut self, batch: &SettledBatch) {
        let call = &batch.call;
        self.at = Some(batch.batch);
        self.batches += 1;
        let expected = self.batches;
        self.require(batch.batch == expected, "L1.SEQUENCE", || {
            format!("batch {} in the place of batch {expected}", batch.batch)
        });
        let root = std::mem::replace(&mut self.root, call.new_root);
        self.require(batch.old_root == root, "L1.SEQUENCE", || {
            "the old root is not the new root of the batch before".into()
        });

        let Some(elements) = self.elements(batch) else { return };
        let Some(params) = self.communities.get(&call.community).copied() else {
            return self.fail("L1.COMMUNITY", format!("community {} is not registered", call.community));
        };
        self.period(batch, &params);
        self.tariff(batch, &params);
        let Some(shape) = Shape::by_id(params.shape) else {
            return self.fail("L1.COMMUNITY", format!("shape {} is not known", params.shape));
        };
        let own = shape.members + 2;
        let records = elements.data.get(own..).filter(|records| records.len().is_multiple_of(2));
        let Some((own, records)) = elements.data.get(..own).zip(records) else {
            let (got, name) = (elements.data.len(), shape.name);
            self.state(batch, &elements, false);
            return self.fail("SETTLE.14", format!("{got} data words, shape {name} has {own} and two more a record"));
        };
        let records = match record::read(records) {
            Ok(records) => records,
            Err((index, error)) => {
                self.state(batch, &elements, false);
                return self.fail("OP.10", format!("record {index}: {error}"));
            }
        };
        self.records(batch, &params, &records);
        self.records.insert(batch.batch, records.iter().map(|(_, record)| *record).collect());
        self.state(batch, &elements, records.iter().any(|(_, r)| r.kind == RecordKind::Init));
        self.node(&elements, own);
        let records: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
        let digest = record::digest(&records);
        self.require(call.ops_digest == to_bytes(&digest), "OP.11", || {
            "the digest in calldata is not that of the records".into()
        });
        self.proof(batch, &params, &shape, &elements, digest);
    }

    /// Every word below the modulus: a value has one encoding.
    fn elements(&mut self, batch: &SettledBatch) -> Option<Elements> {
        let call = &batch.call;
        let mut high = Vec::new();
        let mut element = |name: String, word: &Word| {
            let x = from_bytes::<Fr>(word).ok();
            if x.is_none() {
                high.push(name);
            }
            x.unwrap_or_default()
        };
        let elements = Elements {
            old_root: element("old root".into(), &batch.old_root),
            new_root: element("new root".into(), &call.new_root),
            community_new: element("community node".into(), &call.community_new),
            tariff_commitment: element("tariff commitment".into(), &batch.tariff_commitment),
            data: call.data.iter().enumerate().map(|(i, w)| element(format!("data word {i}"), w)).collect(),
        };
        let canonical = high.is_empty();
        for name in high {
            self.fail("L1.CANONICAL", format!("{name} is not below the field's modulus"));
        }
        canonical.then_some(elements)
    }

    fn period(&mut self, batch: &SettledBatch, params: &CommunityParams) {
        let (id, first) = (params.community, u64::from(batch.call.first_interval));
        let end = first + u64::from(params.m);
        if let Some(next) = self.next_interval.insert(id, end) {
            self.require(first == next, "SETTLE.2", || {
                let time = |interval: u64| utc(interval * u64::from(params.interval_length_s));
                format!("community {id} settles from {} on, its last period ended {}", time(first), time(next))
            });
        }
        let ends_at = end * u64::from(params.interval_length_s);
        self.require(ends_at <= self.now, "SETTLE.2", || {
            format!("the period ends {}, after the latest block", utc(ends_at))
        });
    }

    fn tariff(&mut self, batch: &SettledBatch, params: &CommunityParams) {
        let entries = self.tariffs.get(&params.tariff_set).map_or(&[][..], Vec::as_slice);
        let first = batch.call.first_interval;
        let Some(in_force) = entries.iter().rfind(|t| t.first_interval <= first).copied() else {
            let begins = utc(u64::from(first) * u64::from(params.interval_length_s));
            return self.fail("SETTLE.7", format!("no tariff of set {} was in force at {begins}", params.tariff_set));
        };
        let index = batch.call.tariff_index;
        self.require(in_force.index == index, "SETTLE.7", || {
            format!("settled with tariff {index}, tariff {} was in force", in_force.index)
        });
        self.require(in_force.commitment == batch.tariff_commitment, "SETTLE.7", || {
            "the settled tariff is not the registered one".into()
        });
    }

    /// SETTLE.13, STATE.INIT: the state tree with the community's new node has the new root; a community begins where
    /// nothing is, once.
    fn state(&mut self, batch: &SettledBatch, elements: &Elements, begins: bool) {
        let id = batch.call.community;
        let index = u64::from(id);
        if index >= self.state.capacity() {
            return self.fail("SETTLE.13", format!("community {index} is outside the state tree"));
        }
        let empty = self.state.leaf(index) == Fr::from(0u64);
        self.require(!begins || empty, "STATE.INIT", || {
            format!("community {id} begins, but it is in the state tree already")
        });
        self.require(begins || !empty, "STATE.INIT", || format!("community {id} is settled without a beginning"));
        self.state.set(index, elements.community_new);
        let reached = self.state.root() == elements.new_root;
        self.require(reached, "SETTLE.13", || {
            "the state tree with the community's new node does not have the new root".into()
        });
    }

    /// The money and claims of the records, and ADJUST.5: the tariff of a correction was in force at the period it
    /// names.
    fn records(&mut self, batch: &SettledBatch, params: &CommunityParams, records: &[(Record, Parsed)]) {
        for (index, (_, record)) in records.iter().enumerate() {
            if let Err(error) = self.money.book(record) {
                self.fail(error.clause(), format!("record {index}: {error}"));
            }
            if record.kind == RecordKind::Correction {
                let entries = self.tariffs.get(&params.tariff_set).map_or(&[][..], Vec::as_slice);
                let in_force = entries.iter().rfind(|t| t.first_interval <= record.extra).map(|t| t.commitment);
                self.require(in_force == Some(to_bytes(&record.w1)), "ADJUST.5", || {
                    format!("record {index}: not the tariff of its period")
                });
                self.require(record.extra < batch.call.first_interval, "ADJUST.5", || {
                    format!("record {index}: corrects a period that is not past")
                });
            }
        }
    }

    /// SETTLE.13, 14: the published leaves, header and certificates are the community's new node.
    fn node(&mut self, elements: &Elements, own: &[Fr]) {
        let Some((leaves, [header_leaf, certificates_root])) = own.split_last_chunk::<2>() else { return };
        let node = community::node(*header_leaf, dense_root(leaves), *certificates_root);
        self.require(node == elements.community_new, "SETTLE.13", || {
            "the published leaves do not lead to the community's new node".into()
        });
    }

    fn proof(
        &mut self,
        batch: &SettledBatch,
        params: &CommunityParams,
        shape: &Shape,
        elements: &Elements,
        ops_digest: Fr,
    ) {
        let call = &batch.call;
        let domain = domain(self.chain_id, &self.contract, u64::from(call.circuit_version));
        let z = data_challenge(
            &domain,
            &elements.old_root,
            &elements.new_root,
            &elements.community_new,
            &ops_digest,
            &elements.data,
        );
        let instance = Instance {
            domain,
            old_root: elements.old_root,
            new_root: elements.new_root,
            community: Fr::from(u64::from(call.community)),
            period: period(Interval(call.first_interval), params.interval_length_s, params.m),
            tariff_commitment: elements.tariff_commitment,
            community_new: elements.community_new,
            ops_digest,
            z,
            y: data_evaluation(&elements.data, &z),
        };
        let version = CircuitVersion::from(call.circuit_version);
        if self.remembered.as_ref().is_some_and(|past| past.has(batch.batch)) {
            self.proofs += 1;
            return self.versions.native(batch.batch, version, shape.id);
        }
        match self.verifier.verify(version, shape.id, &instance.rows(), &call.proof) {
            Ok(true) => {
                self.proofs += 1;
                self.versions.native(batch.batch, version, shape.id);
            }
            // Its verifier's code may be known: the events will tell.
            Err(VerifierError::Missing { .. }) => self.versions.unchecked(batch.batch, version, shape.id),
            Ok(false) => self.fail("PROOF", "the proof does not hold for the public inputs rebuilt from calldata"),
            Err(error) => self.fail("PROOF", format!("not verified: {error}")),
        }
    }
}
