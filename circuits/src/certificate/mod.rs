//! The certificate circuit: clauses CERT.1 to CERT.5 (`docs/spec/certificates.md`). One statement spends one note.

mod statement;

use std::sync::Arc;

use gridveil_protocol::{
    certificate::{NotePath, Output, Spend, SpendPlan},
    field::Fr as NativeFr,
    note::Note,
    owner::{NullifierKey, owner_of},
    params::{CERTIFICATES_DEPTH, STATE_DEPTH},
    schnorr::{Signature, empty_slot_key},
    units::{Interval, Wh},
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner},
    plonk::{Circuit, ConstraintSystem, Error},
};

pub use statement::build;

use crate::{
    Fr,
    assign::assign,
    chips::{arith, columns::Columns, path, poseidon, range, schnorr},
    trace::Trace,
};

/// log2 of the rows.
pub const K: u32 = 10;
/// Bits of one range-table entry.
pub const TABLE_BITS: u32 = 8;
/// Rows left to halo2, which keeps some for blinding and the last row, and two more.
pub const RESERVED_ROWS: usize = 8;

/// An empty table.
#[must_use]
pub fn table() -> Trace {
    Trace::new((1usize << K) - RESERVED_ROWS)
}

/// One spending with its witness.
#[derive(Clone, Debug)]
pub struct CertificateCircuit {
    trace: Arc<Trace>,
}

impl CertificateCircuit {
    /// The circuit of a spending. What the rules refuse has a circuit, too, which is not satisfied.
    #[must_use]
    pub fn new(spend: &Spend) -> Self {
        Self::from_trace(build(spend, table()))
    }

    /// From a finished table (tests edit tables).
    #[must_use]
    pub fn from_trace(trace: Trace) -> Self {
        Self { trace: Arc::new(trace) }
    }

    /// A circuit for key generation: the layout does not depend on the witness.
    #[must_use]
    pub fn template() -> Self {
        Self::new(&template_spend())
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

/// A spending of nothing, on no path: its layout is every spending's.
fn template_spend() -> Spend {
    let zero = NativeFr::from(0u64);
    let (secret, salts) = (empty_slot_key(), [zero; 2]);
    let output = Output { owner: zero, amount: Wh::ZERO, salts };
    let plan = SpendPlan {
        domain: zero,
        note: Note {
            owner: zero,
            amount: Wh::ZERO,
            first_interval: Interval::ZERO,
            intervals: 0,
            community: 0,
            technology: 0,
            salts,
        },
        path: NotePath {
            dense: Vec::new(),
            append: salts,
            certificates: vec![[zero; 4]; CERTIFICATES_DEPTH],
            community: salts,
            state: vec![[zero; 4]; STATE_DEPTH],
        },
        outputs: [output.clone(), output],
        retirement: None,
    };
    let signature = Signature { r_x: zero, s: gridveil_protocol::field::Scalar::from(0u64) };
    Spend { plan, owner: owner_of(&secret), nullifier_key: NullifierKey::of(&secret), signature }
}

impl Circuit<Fr> for CertificateCircuit {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Columns {
        let columns = Columns::new(meta);
        poseidon::configure(meta, &columns);
        path::configure(meta, &columns);
        schnorr::configure(meta, &columns);
        arith::configure(meta, &columns);
        range::configure(meta, &columns, TABLE_BITS);
        columns
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        assign(&self.trace, &columns, &mut layouter, TABLE_BITS)
    }
}
