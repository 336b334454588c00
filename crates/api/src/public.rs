//! The public listener: meters and members (`docs/spec/api.md`, Public).

use std::fmt;

use gridveil_protocol::{
    codec::Bytes32,
    field::{Fr, hex_fr},
    hex::hex_bytes,
    instance,
    market::Mechanism,
    operation::SignedOperation,
    packet::SignedPacket,
    schnorr::PublicKey,
    tree::{Children, path_hex, path_root},
    units::Interval,
    version::{CircuitVersion, Domains, VersionFrom, Versions},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    code::CodeName,
    schema::{self, Address, Element, Hex32, Key},
};

/// Periods that [`CommunityInfo::settled`] lists at most.
pub const SETTLED_SHOWN: usize = 400;

/// `GET /v1/info`: the deployment that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// L1 chain.
    pub chain_id: u64,
    /// Rollup contract.
    #[serde(with = "hex_bytes")]
    #[schema(value_type = Address)]
    pub contract: [u8; 20],
    /// [`instance::domain`] of chain, contract and circuit version, as the sequencer says.
    #[serde(with = "hex_fr")]
    #[schema(value_type = Element)]
    pub domain: Fr,
    /// Circuit version of the domain: that of the open period which is furthest behind.
    pub circuit_version: u64,
    /// Every version that is decided, oldest first: the last one may count from some time to come. A sequencer that
    /// cannot be upgraded says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::VersionFrom>)]
    pub versions: Vec<VersionFrom>,
}

impl Info {
    /// The version that is decided and not that of every open period yet.
    #[must_use]
    pub fn pending(&self) -> Option<VersionFrom> {
        self.versions.last().copied().filter(|last| last.circuit_version.number() != self.circuit_version)
    }

    /// The versions, if they follow one another.
    #[must_use]
    pub fn checked_versions(&self) -> Option<Versions> {
        if self.versions.is_empty() {
            return Some(Versions::new(CircuitVersion::new(self.circuit_version)));
        }
        Versions::from_list(&self.versions).ok()
    }

    /// The domains of the deployment named, if the domain told is one of them.
    #[must_use]
    pub fn checked_domains(&self) -> Option<Domains> {
        let domains = Domains::new(self.chain_id, self.contract, self.checked_versions()?);
        (self.checked_domain().is_some_and(|domain| domains.is_of_deployment(domain))).then_some(domains)
    }

    /// The domain, if it is the one of the chain, contract and version named.
    #[must_use]
    pub fn checked_domain(&self) -> Option<Fr> {
        let domain = instance::domain(self.chain_id, &self.contract, self.circuit_version);
        (domain == self.domain).then_some(domain)
    }
}

/// `GET /v1/communities/{c}`: a community, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommunityInfo {
    /// Index.
    pub community: u32,
    /// Name of the shape.
    pub shape: String,
    /// Slots, 4 to 512.
    pub members: usize,
    /// Intervals of a period, 2 to 96.
    pub intervals: u16,
    /// Seconds of an interval.
    pub interval_length: u16,
    /// Clearing rule of the open period.
    #[schema(value_type = schema::Mechanism)]
    pub mechanism: Mechanism,
    /// Key of the meter data manager.
    #[schema(value_type = Key)]
    pub mdm: PublicKey,
    /// First interval of the period to settle next: what a packet's context must carry now.
    #[schema(value_type = u32)]
    pub next_interval: Interval,
    /// Periods that are final on L1, oldest first, the last [`SETTLED_SHOWN`] of them.
    pub settled: Vec<SettledPeriod>,
    /// The open period.
    pub open: OpenPeriod,
}

/// A period that is final on L1, by the sequencer's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettledPeriod {
    /// First interval.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// State root after it.
    #[serde(with = "hex_fr")]
    #[schema(value_type = Element)]
    pub root: Fr,
    /// Batch that settled it.
    pub batch: u64,
    /// Transaction on L1; `None` where a crash lost L1's answer.
    #[schema(value_type = Option<Hex32>)]
    pub tx: Option<Bytes32>,
    /// Its block; `None` as for `tx`.
    pub block: Option<u64>,
}

/// The period that takes packets. How many came in is the staff's to know: a stranger who asks every minute would learn
/// when meters send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenPeriod {
    /// First interval.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// Is it closed, and waits to be settled?
    pub closed: bool,
}

/// What became of something that was handed in. Every word means that it is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It is new. Status 201.
    Accepted,
    /// The very same was taken before. Status 200.
    Duplicate,
    /// A packet of a period that is settled with a substitute: a later settlement books the difference. Status 202.
    Late,
    /// A newer server's word that this version does not know.
    #[serde(other, skip_serializing)]
    Other,
}

impl Taken {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Other => "taken",
        }
    }

    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Accepted => 201,
            Self::Duplicate | Self::Other => 200,
            Self::Late => 202,
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `POST /v1/packets`: confirms a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketTaken {
    /// [`gridveil_protocol::codec::packet_id`] of the packet.
    #[schema(value_type = Hex32)]
    pub packet_id: Bytes32,
    /// What became of it.
    pub status: Taken,
}

/// `POST /v1/operations`: confirms an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationTaken {
    /// [`gridveil_protocol::codec::operation_id`] of the operation.
    #[schema(value_type = Hex32)]
    pub operation_id: Bytes32,
    /// What became of it.
    pub status: Taken,
}

/// `GET /v1/operations/{id}`: the state of an operation or a late packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OperationState {
    /// It is pending.
    Pending,
    /// A batch has it.
    Applied {
        /// Batch.
        batch: u64,
        /// Is the batch final on L1?
        #[serde(rename = "final")]
        settled: bool,
    },
    /// A settlement refused it.
    Refused {
        /// Code of the refusal.
        #[schema(value_type = String)]
        code: CodeName,
    },
}

/// `GET /v1/notes/{commitment}`: where a note of L1's queue is in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotePath {
    /// Community whose settlement appended it.
    pub community: u32,
    /// First interval of that period.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// Batch.
    pub batch: u64,
    /// Place among the leaves of the path, base 4, bottom up.
    pub index: u64,
    /// Levels, bottom up: queue, append, certificates tree, community, state tree.
    #[serde(with = "path_hex")]
    #[schema(value_type = Vec<[Element; 4]>)]
    pub path: Vec<Children>,
    /// The root it leads to: final, by the sequencer's word.
    #[serde(with = "hex_fr")]
    #[schema(value_type = Element)]
    pub root: Fr,
}

impl NotePath {
    /// Does it lead from `note` to its root?
    #[must_use]
    pub fn leads_from(&self, note: Fr) -> bool {
        path_root(note, self.index, &self.path) == Some(self.root)
    }
}

/// `POST /v1/given-back`: what a member that lost its folder signed for a period, and what it signed that no receipt has yet.
/// Every signature in it is the member's own.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GivenBack {
    /// Is the period final on L1? Then it has a receipt.
    pub settled: bool,
    /// The meter's own packet that was taken while the period was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::SignedPacket>)]
    pub packet: Option<SignedPacket>,
    /// The meter's late packet, while it waits to be booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::SignedPacket>)]
    pub late: Option<SignedPacket>,
    /// Operations of the slot that no final batch has, oldest first: of batches on their way, then those that wait.
    #[schema(value_type = Vec<schema::SignedOperation>)]
    pub operations: Vec<SignedOperation>,
}

impl fmt::Debug for GivenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenBack").field("settled", &self.settled).finish_non_exhaustive()
    }
}

/// `GET /healthz`: is the sequencer well?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// In one word.
    pub status: HealthStatus,
    /// What stopped, then what is being retried; nothing of a person. For everybody names alone, for the operator why.
    pub reasons: Vec<String>,
}

/// How well. Nothing is lost in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well. Status 200.
    Ok,
    /// L1 or provers are being retried. Status 200.
    Degraded,
    /// The pipeline or the log stopped: an operator has to look. Status 503.
    Unhealthy,
}

impl HealthStatus {
    /// HTTP status of the answer.
    #[must_use]
    pub const fn http(self) -> u16 {
        match self {
            Self::Ok | Self::Degraded => 200,
            Self::Unhealthy => 503,
        }
    }
}

/// Sections of the page, and the types of their examples.
#[cfg(test)]
pub(crate) const SECTIONS: &[crate::page::Section] = {
    use crate::{
        page::same,
        rows::{Periods, Rows, Tariffs},
    };
    &[
        ("`GET /v1/info`", Some(same::<Info>)),
        ("`GET /v1/communities/{c}`", Some(same::<CommunityInfo>)),
        ("`GET /v1/communities/{c}/tariffs/{first_interval}`", None),
        ("`GET /v1/communities/{c}/periods?after=420000&limit=100`", Some(same::<Periods>)),
        ("`GET /v1/communities/{c}/tariffs?after=420000&limit=100`", Some(same::<Tariffs>)),
        ("`GET /v1/communities/{c}/events`", None),
        ("`POST /v1/packets`", Some(same::<PacketTaken>)),
        ("`POST /v1/packets/bulk`", Some(same::<Rows>)),
        ("`POST /v1/operations`", Some(same::<OperationTaken>)),
        ("`POST /v1/operations/bulk`", Some(same::<Rows>)),
        ("`GET /v1/operations/{id}`", Some(same::<OperationState>)),
        ("`GET /v1/notes/{commitment}`", Some(same::<NotePath>)),
        ("`POST /v1/receipts`", None),
        ("`POST /v1/given-back`", Some(same::<GivenBack>)),
        ("`GET /healthz`", Some(same::<Health>)),
        ("`GET /v1/openapi.json`, `GET /v1/docs`", None),
        ("`GET /livez`", None),
        ("`GET /readyz`", Some(same::<Health>)),
        ("`GET /metrics`", None),
    ]
};
