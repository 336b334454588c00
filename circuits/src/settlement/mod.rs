//! The settlement circuit: every clause SETTLE.1 to SETTLE.14 (`docs/spec/settlement.md`), for any [`Shape`].

mod account;
mod correction;
mod header_slot;
mod interval;
mod leaf;
mod members;
mod operation_slot;
mod records;
mod signature;
mod state;
mod statement;

use std::sync::Arc;

use gridveil_protocol::{
    account::{Account, LeafSalts},
    community::Community,
    field::Fr as NativeFr,
    header::{Header, Totals},
    market::Mechanism,
    packet::{PacketSalts, empty_slot},
    params::{CERTIFICATES_DEPTH, STATE_DEPTH, Shape},
    schnorr::empty_slot_key,
    settlement::{SettlementInput, Transition, compute},
    tariff::{ClassPrices, IntervalTariff, Tariff},
    tree::SparseTree,
    units::{Interval, Ticks},
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner},
    plonk::{Circuit, ConstraintSystem, Error},
};

pub use statement::build;

use crate::{
    Fr,
    assign::assign,
    chips::{arith, columns::Columns, market, poseidon, range, schnorr},
    trace::Trace,
    version::SettlementSize,
};

/// Rows left to halo2, which keeps some for blinding and the last row, generously: part of version 2's keys.
pub const RESERVED_ROWS: usize = 16;

/// An empty table of the shape's size.
#[must_use]
pub fn table(shape: &Shape) -> Trace {
    Trace::new((1usize << shape.k) - RESERVED_ROWS)
}

/// Market geometry of a shape.
#[must_use]
pub const fn geometry(shape: &Shape) -> market::Geometry {
    market::Geometry { table_bits: shape.table_bits, intervals: shape.intervals }
}

/// One settlement statement with its witness.
#[derive(Clone, Debug)]
pub struct SettlementCircuit {
    size: SettlementSize,
    trace: Arc<Trace>,
}

impl SettlementCircuit {
    /// The circuit of a computed transition, in the version that new deployments begin with.
    #[must_use]
    pub fn new(transition: &Transition) -> Self {
        Self::sized(SettlementSize::current(transition.input.community.shape), transition)
    }

    /// The circuit of a computed transition in the version of `size`, and of the transition's own shape.
    #[must_use]
    pub fn sized(size: SettlementSize, transition: &Transition) -> Self {
        let size = size.with_shape(transition.input.community.shape);
        Self::from_trace(size, statement::build_version(size.version(), transition, table(&size.shape())))
    }

    /// From a finished table (tests edit tables).
    #[must_use]
    pub fn from_trace(size: SettlementSize, trace: Trace) -> Self {
        Self { size, trace: Arc::new(trace) }
    }

    /// A circuit for key generation: the layout does not depend on the witness.
    #[must_use]
    pub fn template(size: SettlementSize) -> Self {
        Self::sized(size, &compute(template_input(size.shape())))
    }

    /// Public inputs, by row.
    #[must_use]
    pub fn instance(&self) -> Vec<Fr> {
        self.trace.instance().to_vec()
    }

    /// The table.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// A community of empty slots in its first period.
fn template_input(shape: Shape) -> SettlementInput {
    let zero = NativeFr::from(0u64);
    let header = Header {
        mechanism: Mechanism::Auction,
        interval_length: 3600,
        intervals: u16::try_from(shape.intervals).unwrap_or(0),
        mdm: empty_slot_key().public(),
        next_interval: Interval::ZERO,
        supplier_account: 0,
        fee_account: 0,
        reserve: 0,
        nonce: 0,
        totals: Totals::default(),
        certificate_count: 0,
        salts: [zero; 2],
    };
    let community = Community {
        index: 0,
        shape,
        header,
        accounts: vec![Account::empty(LeafSalts::default()); shape.members],
        certificates: SparseTree::new(CERTIFICATES_DEPTH),
    };
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(0, community.node());
    let entry = IntervalTariff {
        classes: [ClassPrices::default(); 2],
        cap: Ticks::ZERO,
        floor: Ticks::ZERO,
        reference: Ticks::ZERO,
    };
    let mut input = SettlementInput {
        domain: zero,
        state_path: state.path(0),
        community,
        packets: Vec::new(),
        tariff: Tariff { intervals: vec![entry; shape.intervals] },
        header_salts: [zero; 2],
        operations: gridveil_protocol::operation_slots::Operations::default(),
    };
    let context = input.context();
    input.packets = (0..shape.members)
        .filter_map(|slot| empty_slot(context, u16::try_from(slot).ok()?, PacketSalts::default()).ok())
        .collect();
    input
}

impl Circuit<Fr> for SettlementCircuit {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = SettlementSize;

    fn params(&self) -> SettlementSize {
        self.size
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    /// Every version so far has the same columns and gates; a version that has others branches here.
    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, size: SettlementSize) -> Columns {
        let shape = size.shape();
        let columns = Columns::new(meta);
        poseidon::configure(meta, &columns);
        schnorr::configure(meta, &columns);
        market::configure(meta, &columns, geometry(&shape));
        arith::configure(meta, &columns);
        range::configure(meta, &columns, shape.table_bits);
        columns
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Columns {
        Self::configure_with_params(meta, SettlementSize::default())
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        assign(&self.trace, &columns, &mut layouter, self.size.shape().table_bits)
    }
}
