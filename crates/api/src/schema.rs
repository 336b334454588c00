//! How types of `protocol` look in the description of the API (OpenAPI). `protocol` knows nothing of HTTP, so what travels
//! of it is described here, field by field. A test reads real ones against this (`sequencer/tests/suite/described.rs`).
//!
//! Nothing here is ever made: the types stand for their schemas alone.

use utoipa::ToSchema;

/// A field element: `0x` and 64 hex digits of a number below the field's modulus.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{64}$")]
pub struct Element(pub String);

/// 32 bytes: `0x` and 64 hex digits.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{64}$")]
pub struct Hex32(pub String);

/// A public key or a signature: `0x` and 128 hex digits.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{128}$")]
pub struct Key(pub String);

/// An address of L1: `0x` and 40 hex digits.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{40}$")]
pub struct Address(pub String);

/// How a community's price is found.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Mechanism {
    /// Uniform-price auction.
    Auction,
    /// Published price.
    CommunityPrice,
}

macro_rules! described {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $field_doc:literal])+ $([$($schema:tt)+])? $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, ToSchema)]
            pub struct $name {
                $($(#[doc = $field_doc])+ $(#[schema($($schema)+)])? pub $field: $type,)+
            }
        )+
    };
}

described! {
    /// From when on a circuit version counts.
    VersionFrom {
        /// Version.
        circuit_version: u64,
        /// Unix seconds.
        from_s: u64,
    }
    /// Where and when a packet is valid.
    Context {
        /// Domain of deployment and circuit version.
        domain: Element,
        /// Community index.
        community: u32,
        /// First interval of the period.
        first_interval: u32,
        /// Seconds of an interval.
        interval_length: u16,
        /// Intervals of the period.
        intervals: u16,
    }
    /// Energy of one interval, in units of the account's scale.
    Reading {
        /// Taken from the network.
        import: u16,
        /// Fed in.
        export: u16,
    }
    /// Six fresh random field elements.
    PacketSalts {
        /// s1, s2.
        [min_items = 2, max_items = 2] exit: Vec<Element>,
        /// s3, s4.
        [min_items = 2, max_items = 2] private: Vec<Element>,
        /// s5, s6.
        [min_items = 2, max_items = 2] note: Vec<Element>,
    }
    /// A packet of one slot and period, signed by the meter, or by the meter data manager if it is a substitute.
    SignedPacket {
        /// Deployment, community and period.
        context: Context,
        /// Slot of the community.
        slot: u16,
        /// One reading an interval.
        [max_items = 96] readings: Vec<Reading>,
        /// Buy limit of the next period, ticks of 100 nano-currency per Wh.
        buy_limit: u16,
        /// Sell limit of the next period, ticks.
        sell_limit: u16,
        /// Is it the meter data manager's substitute?
        substituted: bool,
        /// Wh of a reading's unit: 1, 10 or 100.
        scale: u8,
        /// Fresh salts.
        salts: PacketSalts,
        /// Of a substitute: digest of the slot's pending substitute before it, or zero. Else zero.
        previous_substitute: Element,
        /// Signature.
        signature: Key,
    }
    /// Prices of one class in one interval, nano-currency per Wh.
    ClassPrices {
        /// Energy bought from the supplier.
        energy: i32,
        /// Network fee on it.
        network: i32,
        /// Paid for energy sold to the supplier.
        feed_in: i32,
        /// Fee on locally bought energy.
        local_fee: i32,
    }
    /// Tariff of one interval.
    IntervalTariff {
        /// By class.
        [min_items = 2, max_items = 2] classes: Vec<ClassPrices>,
        /// Highest effective buy limit, ticks.
        cap: u16,
        /// Lowest effective sell limit, ticks.
        floor: u16,
        /// Price of the community-price rule, ticks.
        reference: u16,
    }
    /// Tariff of a period.
    Tariff {
        /// One entry an interval.
        [max_items = 96] intervals: Vec<IntervalTariff>,
    }
    /// An owner's key.
    OwnerKey {
        /// Key.
        key: Key,
        /// Nullifier.
        nullifier: Element,
    }
    /// The meter data manager's part of an account.
    Terms {
        /// First interval that may carry readings.
        active_from: u32,
        /// First interval that may not.
        active_until: u32,
        /// Highest price at which the member buys locally, ticks.
        buy_limit: u16,
        /// Lowest price at which it sells locally, ticks.
        sell_limit: u16,
        /// Largest substituted import of an interval.
        cap_import: u16,
        /// Largest substituted export of an interval.
        cap_export: u16,
        /// Generation technology; 0 earns no certificates.
        technology: u8,
        /// Wh of a reading's unit: 1, 10 or 100.
        scale: u8,
        /// Tariff class, 0 or 1.
        class: u8,
    }
    /// What an owner signs (`docs/spec/operations.md`). A field that the kind does not use is zero or left out.
    Operation {
        /// Kind: deposit, withdraw, send, receive, rotate, close, enrol, replace or terms.
        kind: String,
        /// Community index.
        community: u32,
        /// Slot.
        slot: u16,
        /// The slot's next nonce.
        nonce: u32,
    }
    /// An operation with its signatures.
    SignedOperation {
        /// What is signed.
        [value_type = Object] operation: Operation,
        /// Key of the account's owner; of the new owner, for `enrol`.
        owner: OwnerKey,
        /// The owner's signature.
        signature: Key,
        /// The meter data manager's, where the kind asks for it.
        mdm: Option<Key>,
    }
    /// Asks for what belongs to a slot and period, signed by the slot's owner.
    ReceiptRequest {
        /// Community index.
        community: u32,
        /// Slot.
        slot: u16,
        /// First interval of the period.
        first_interval: u32,
        /// Unix seconds, at most five minutes off.
        timestamp: u64,
        /// Owner's key.
        owner: OwnerKey,
        /// Signature.
        signature: Key,
    }
    /// One interval of a statement.
    StatementLine {
        /// Clearing tick.
        tick: u16,
        /// Locally bought, Wh.
        bought_wh: u64,
        /// Locally sold, Wh.
        sold_wh: u64,
    }
    /// Statement, opening and path of one slot and period: for the member alone.
    Receipt {
        /// Community index.
        community: u32,
        /// Slot.
        slot: u16,
        /// First interval of the period.
        first_interval: u32,
        /// Was the packet the meter data manager's?
        substituted: bool,
        /// Readings that were settled.
        readings: Vec<Reading>,
        /// One line an interval.
        lines: Vec<StatementLine>,
        /// Account before the period.
        [value_type = Object] before: String,
        /// Account when the period is settled, before any operation.
        [value_type = Object] settled: String,
        /// Operations on this slot, in order.
        operations: Vec<SignedOperation>,
        /// Correction of this slot's newest substitute.
        [value_type = Option<Object>] correction: Option<String>,
        /// Account after the period.
        [value_type = Object] after: String,
        /// Certificate note of the period, Wh.
        note_amount_wh: u64,
        /// s5, s6 of the note.
        [min_items = 2, max_items = 2] note_salts: Vec<Element>,
        /// Levels of four children from the note to the certificates root, bottom up.
        note_path: Vec<Vec<Element>>,
        /// Levels in the members tree.
        members_path: Vec<Vec<Element>>,
        /// Header leaf after.
        header_leaf: Element,
        /// Certificates root after.
        certificates_root: Element,
        /// Levels in the state tree.
        state_path: Vec<Vec<Element>>,
        /// The root it leads to.
        root: Element,
    }
    /// Units that move between L1 and a pool of the header.
    Transfer {
        /// Pool and direction: `supplier_in`, `supplier_out` or `fee_out`.
        [pattern = "^(supplier_in|supplier_out|fee_out)$"] pool: String,
        /// Whole units, below 2^48.
        units: u64,
    }
    /// Decisions of the meter data manager.
    Management {
        /// Clearing rule from the next period on.
        mechanism: Mechanism,
        /// The meter data manager's key from now on.
        mdm: Key,
        /// Part of the supplier account that the operator may not withdraw, nano.
        reserve: u64,
        /// Periods that are not settled at all.
        skip: u16,
    }
    /// Decisions with the signature of the meter data manager.
    SignedManagement {
        /// What is set.
        management: Management,
        /// By the meter data manager before.
        signature: Key,
    }
    /// The header operation of one settlement: money, decisions, or both.
    HeaderOperation {
        /// Money.
        transfer: Option<Transfer>,
        /// Decisions.
        management: Option<SignedManagement>,
    }
    /// Both headers of one community and period.
    PeriodOpening {
        /// L1 chain.
        chain_id: u64,
        /// Contract.
        contract: Address,
        /// Community index.
        community: u32,
        /// First interval of the period.
        first_interval: u32,
        /// The header before the period's batch; null if the community began with it.
        [value_type = Option<Object>] before: Option<String>,
        /// The header after it.
        [value_type = Object] after: String,
        /// Where the header before is, if no batch has published its leaf.
        [value_type = Option<Object>] genesis: Option<String>,
    }
}
