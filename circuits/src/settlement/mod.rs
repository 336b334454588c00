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
    units::Ticks,
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
};

/// Rows halo2 keeps for blinding and the last row, generously.
const RESERVED_ROWS: usize = 16;

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
    shape: Shape,
    trace: Arc<Trace>,
}

impl SettlementCircuit {
    /// The circuit of a computed transition.
    #[must_use]
    pub fn new(transition: &Transition) -> Self {
        Self::from_trace(transition.input.community.shape, build(transition, table(&transition.input.community.shape)))
    }

    /// From a finished table (tests edit tables).
    #[must_use]
    pub fn from_trace(shape: Shape, trace: Trace) -> Self {
        Self { shape, trace: Arc::new(trace) }
    }

    /// A circuit for key generation: the layout does not depend on the witness.
    #[must_use]
    pub fn template(shape: Shape) -> Self {
        Self::new(&compute(template_input(shape)))
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
        next_interval: 0,
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
    type Params = Shape;

    fn params(&self) -> Shape {
        self.shape
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, shape: Shape) -> Columns {
        let columns = Columns::new(meta);
        poseidon::configure(meta, &columns);
        schnorr::configure(meta, &columns);
        market::configure(meta, &columns, geometry(&shape));
        arith::configure(meta, &columns);
        range::configure(meta, &columns, shape.table_bits);
        columns
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Columns {
        Self::configure_with_params(meta, Shape::default())
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        assign(&self.trace, &columns, &mut layouter, self.shape.table_bits)
    }
}
