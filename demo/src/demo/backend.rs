//! The boundary between the demonstration's scenario and the system that carries it out.

use gridveil_auditor::Totals;
use gridveil_protocol::units::Nano;
use gridveil_protocol::{field::Fr, header::Header, receipt::Receipt};

use super::{
    scenario::{Day, Scenario},
    summary::Summary,
};

/// A settled, final period.
#[derive(Clone, Debug)]
pub struct Settled {
    /// State root on L1 afterwards (natively: in memory).
    pub root: Fr,
    /// The community's header afterwards, as its operator sees it.
    pub header: Header,
    /// Time the proof took.
    pub proving_ms: Option<u64>,
    /// Gas of the settling transaction.
    pub gas: Option<u64>,
    /// Money that L1 holds for balances, supplier accounts and fee accounts, nano.
    pub pool_nano: Nano,
}

/// What the auditor found, from L1 alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Batches whose proofs and roots were checked.
    pub batches: u64,
    /// Root the replay ended at.
    pub root: Fr,
    /// Certificates of the periods that the operator has opened, and that hold.
    pub totals: Vec<Totals>,
}

/// Chain, sequencer, prover, meters and auditor. Calls come in this order: `start`; `publish` for each day; `begin`;
/// then for each day `deliver` for every home, `settle`, `receipt` for every home; at the end `leave`, `audit`.
pub trait Backend {
    /// Brings everything up and registers the communities.
    ///
    /// # Errors
    /// Whatever does not start.
    fn start(&mut self, scenario: &Scenario) -> anyhow::Result<()>;

    /// Publishes a day's tariff, before the day begins.
    ///
    /// # Errors
    /// L1 or the sequencer refuses.
    fn publish(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()>;

    /// The communities begin, once all tariffs are published. Gives the number of batches that took.
    ///
    /// # Errors
    /// L1 or the sequencer refuses.
    fn begin(&mut self, scenario: &Scenario) -> anyhow::Result<u64>;

    /// Signs a home's day, by its meter or, substituted, by the meter data manager, and hands it in.
    ///
    /// # Errors
    /// Signing, or the sequencer refuses.
    fn deliver(&mut self, scenario: &Scenario, day: &Day, slot: usize) -> anyhow::Result<()>;

    /// Lets the day end, closes it, proves it, and waits until it is final on L1.
    ///
    /// # Errors
    /// The rules, the prover or L1 refuse.
    fn settle(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<Settled>;

    /// A member's receipt of a settled day.
    ///
    /// # Errors
    /// There is none.
    fn receipt(&mut self, scenario: &Scenario, day: &Day, slot: usize) -> anyhow::Result<Receipt>;

    /// The operator stops, and everybody leaves; fills in what the summary says of it and of what happened beside
    /// settling.
    ///
    /// # Errors
    /// L1 refuses, or somebody does not get what is theirs.
    fn leave(&mut self, scenario: &Scenario, summary: &mut Summary) -> anyhow::Result<()>;

    /// Replays the chain from L1 alone; `None` where there is no L1.
    ///
    /// # Errors
    /// Anything that does not hold.
    fn audit(&mut self) -> anyhow::Result<Option<Audit>>;

    /// Bytes of the verifier contract's code; `None` where there is no L1.
    fn verifier_bytes(&self) -> Option<u64>;
}
