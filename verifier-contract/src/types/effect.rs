//! What the contracts tell of themselves.

use serde::{Deserialize, Serialize};

use super::{Address, CommunityParams, Word};

/// A change of the contract's state, as its event tells it. Units are 10,000,000 nano each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // fields are those of the events, documented in the contract's interfaces
pub enum RollupEffect {
    Genesis {
        root: Word,
        circuit_version: u32,
    },
    ShapeRegistered {
        shape: u32,
        slots: u32,
        m: u16,
    },
    VerifierRegistered {
        circuit_version: u32,
        shape: u32,
        verifier: Address,
        codehash: Word,
        proof_length: u32,
        active_from: u64,
    },
    /// The first use of a version was announced; so many wait in forced queues.
    UpgradeAnnounced {
        circuit_version: u32,
        waiting: u32,
    },
    /// The batch or certificate of this transaction, which follows, is a later verifier's first.
    VerifierFirstUsed {
        circuit_version: u32,
        shape: u32,
        verifier: Address,
    },
    VersionRetired {
        circuit_version: u32,
    },
    /// It is the council from unix seconds `from` on; the zero address: none.
    CouncilAppointed {
        council: Address,
        from: u64,
    },
    /// A verifier accepted two proofs that contradict each other; it is refused for ever.
    VerifierUnsound {
        circuit_version: u32,
        shape: u32,
        verifier: Address,
    },
    /// The council set a registered verifier's delay; it may be used from unix seconds `active_from` on.
    VerifierHastened {
        circuit_version: u32,
        shape: u32,
        active_from: u64,
    },
    /// A role was given to an account or taken from it, by another.
    RoleChanged {
        role: Word,
        account: Address,
        granted: bool,
        by: Address,
    },
    TariffSetOpened {
        tariff_set: u32,
        interval_length_s: u16,
        m: u16,
    },
    TariffRegistered {
        tariff_set: u32,
        index: u32,
        first_interval: u32,
        commitment: Word,
    },
    CommunityRegistered(CommunityParams),
    /// Unix seconds at which the notice is over.
    CommunityClosing {
        community: u32,
        closes_at: u64,
    },
    CommunityEnding {
        community: u32,
    },
    CommunityClosed {
        community: u32,
        last_batch: u64,
    },
    /// A batch; the effects of its records follow.
    BatchSettled {
        batch: u64,
        community: u32,
        first_interval: u32,
        old_root: Word,
        new_root: Word,
        circuit_version: u32,
    },
    CommunityInitialised {
        community: u32,
        genesis_terms: Word,
    },
    Corrected {
        community: u32,
        first_interval: u32,
        tariff_commitment: Word,
    },
    DepositMade {
        claim: Word,
        depositor: Address,
        units: u64,
    },
    DepositConsumed {
        claim: Word,
        units: u64,
    },
    RefundRequested {
        claim: Word,
        refundable_at: u64,
    },
    Refunded {
        claim: Word,
        depositor: Address,
        units: u64,
    },
    DepositsPaused {
        paused: bool,
    },
    WithdrawalCredited {
        account: Address,
        units: u64,
    },
    /// Smallest parts of the token.
    Withdrawn {
        account: Address,
        amount: u128,
    },
    /// Wei.
    EthWithdrawn {
        account: Address,
        amount: u128,
    },
    TransferOpened {
        claim: Word,
    },
    TransferReceived {
        claim: Word,
    },
    SupplierFunded {
        units: u64,
    },
    SupplierUnfunded {
        units: u64,
    },
    /// Kind 16 into the supplier account, 17 out of it, 18 out of the fee account.
    SupplierMoved {
        community: u32,
        kind: u8,
        units: u64,
    },
    ForcedRequested {
        community: u32,
        slot: u32,
        requester: Address,
        position: u32,
        payer: Address,
        bond: u128,
    },
    ForcedServed {
        community: u32,
        slot: u32,
        requester: Address,
        units: u64,
        bond: u128,
    },
    BondReturned {
        community: u32,
        payer: Address,
        bond: u128,
    },
    Frozen {
        community: u32,
        root: Word,
    },
    /// nano that left the pool, and smallest parts of the token.
    Exited {
        community: u32,
        slot: u32,
        payout: Address,
        balance: u64,
        amount: u128,
    },
    /// nano that left the pool, and smallest parts of the token.
    RestSwept {
        balance: u64,
        amount: u128,
    },
    ClaimExited {
        claim: Word,
        payout: Address,
        balance: u64,
        amount: u128,
    },
    /// The pair of notes with this number was not taken in in time.
    FrozenForNotes {
        number: u64,
        root: Word,
    },
    CertificateSpent {
        nullifier: Word,
        circuit_version: u32,
        anchor: Word,
        note_1: Word,
        note_2: Word,
        retirement: Word,
        disclosed: Word,
        beneficiary: Word,
        kind: u16,
    },
    NoteAppended {
        note: Word,
        community: u32,
    },
    /// The head of the queue of notes leaves it, and no batch takes it in. Is its spending undone?
    NotesDropped {
        nullifier: Word,
        circuit_version: u32,
        undone: bool,
    },
    /// Wei.
    FeeWithdrawn {
        account: Address,
        amount: u128,
    },
}

/// A [`RollupEffect`] and where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupEvent {
    /// Block number.
    pub block: u64,
    /// Transaction hash.
    pub tx: Word,
    /// What happened.
    pub effect: RollupEffect,
}
