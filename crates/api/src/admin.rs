//! The admin listener: the operator, on a loopback address with a bearer token (`docs/spec/api.md`, Admin).

use gridveil_protocol::{
    codec::Bytes32,
    field::{Fr, hex_fr},
    tariff::Tariff,
    units::Interval,
    version::{CircuitVersion, VersionFrom},
};
use serde::{Deserialize, Serialize};

use crate::{
    code::CodeName,
    problem::Problem,
    public::{HealthStatus, Taken},
};

/// Settled batches that [`CommunityStatus::batches`] lists at most.
pub const BATCHES_SHOWN: usize = 20;

/// Asks `POST /admin/v1/communities/{c}/close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// First interval of the open period, named so that a repeated request does not close the next one.
    pub first_interval: Interval,
}

/// A period that is closed and settled natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedPeriod {
    /// Community.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Batch that settles it.
    pub batch: u64,
    /// State root after it, before it is final.
    #[serde(with = "hex_fr")]
    pub new_root: Fr,
}

/// Asks `POST /admin/v1/members/{c}/{slot}/erase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// Which account of the slot, from 0; may be left out where only one has ended and is not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<u32>,
}

/// An account whose keys are overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedAccount {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Which account of the slot, from 0.
    pub account: u32,
    /// Batch with which it ended.
    pub ended_with: u64,
    /// Batches whose receipts the other members keep.
    pub batches: usize,
}

/// `GET /admin/v1/communities/{c}/missing`: what the meter data manager has to substitute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPackets {
    /// Community.
    pub community: u32,
    /// First interval of the open period.
    pub first_interval: Interval,
    /// Used slots without any packet; none while the period is closed and not settled.
    pub missing: Vec<MissingPacket>,
}

/// A used slot without any packet of the open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPacket {
    /// Slot.
    pub slot: u16,
    /// What a substitute must name ([`gridveil_protocol::packet::Packet::previous_substitute`]); zero if no
    /// substitute is pending.
    #[serde(with = "hex_fr")]
    pub previous_substitute: Fr,
    /// Wh of a reading's unit ([`gridveil_protocol::packet::Packet::scale`]).
    pub scale: u8,
}

/// Asks `POST /admin/v1/communities/{c}/tariffs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffRequest {
    /// First interval of the first period it is for.
    pub first_interval: Interval,
    /// Content, one entry an interval of a period.
    pub tariff: Tariff,
}

/// A tariff that is published off-chain. Status 201 where it is new, 200 where the same was published before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTariff {
    /// [`Tariff::commitment`].
    #[serde(with = "hex_fr")]
    pub commitment: Fr,
    /// Does L1 have it?
    pub l1: Registration,
}

/// Whether L1 has a tariff's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// It has.
    Registered,
    /// Not yet, or L1 could not be asked: no period closes under it until it has.
    Pending,
}

/// `POST /admin/v1/communities/{c}/header-operation`: confirms a header operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderOperationTaken {
    /// [`gridveil_protocol::codec::header_operation_id`].
    pub id: Bytes32,
    /// What became of it.
    pub status: Taken,
}

/// A community that is served from now on. Status 201 where it is new, 200 where it was served before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedCommunity {
    /// Community.
    pub community: u32,
    /// First interval of its first period.
    pub first_interval: Interval,
}

/// Asks `POST /admin/v1/upgrade`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// Version to settle under.
    pub circuit_version: CircuitVersion,
    /// Unix seconds: every period that begins at or after it is settled under the version.
    pub from_s: u64,
}

/// A decided upgrade. Status 201 where it is new, 200 where it was decided before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUpgrade {
    /// Version.
    pub circuit_version: CircuitVersion,
    /// Unix seconds.
    pub from_s: u64,
    /// Where each community begins with it, unless periods are skipped.
    pub communities: Vec<FirstPeriod>,
}

/// The first period of a community under a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstPeriod {
    /// Community.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
}

/// `GET /admin/v1/status`: how far everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// State root after the last batch that is settled natively.
    #[serde(with = "hex_fr")]
    pub state_root: Fr,
    /// Records in the log.
    pub log_height: u64,
    /// Circuit versions that are decided, oldest first.
    pub versions: Vec<VersionFrom>,
    /// Why the pipeline stopped, if it did.
    pub stopped: Option<String>,
    /// What is being retried.
    pub retrying: Vec<String>,
    /// Communities served, by index.
    pub communities: Vec<CommunityStatus>,
}

impl Status {
    /// A community; `None` if it is not served here.
    #[must_use]
    pub fn community(&self, community: u32) -> Option<&CommunityStatus> {
        self.communities.iter().find(|c| c.community == community)
    }
}

/// A community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityStatus {
    /// Index.
    pub community: u32,
    /// First interval of the open period.
    pub next_interval: Interval,
    /// Intervals of a period, 2 to 96.
    pub intervals: u16,
    /// Seconds of an interval.
    pub interval_length: u16,
    /// Packets of the open period, substitutes among them.
    pub packets: usize,
    /// Slots in use.
    pub accounts: usize,
    /// Is the period closed, and waits to be settled?
    pub closed: bool,
    /// Operations that wait.
    pub operations: usize,
    /// Late packets that wait.
    pub late: usize,
    /// Does a header operation wait?
    pub header_pending: bool,
    /// Code with which the last header operation was refused.
    pub header_refused: Option<CodeName>,
    /// The header's nonce: what the meter data manager signs its next decision at.
    pub header_nonce: Option<u64>,
    /// Why the closed period cannot be settled.
    pub blocked: Option<Problem>,
    /// The last [`BATCHES_SHOWN`] that are settled, then those on their way, oldest first.
    pub batches: Vec<BatchStatus>,
}

impl CommunityStatus {
    /// The batch of a period, if it is listed.
    #[must_use]
    pub fn batch_of(&self, first_interval: Interval) -> Option<&BatchStatus> {
        self.batches.iter().find(|batch| batch.first_interval == first_interval)
    }
}

/// A batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatus {
    /// Number.
    pub batch: u64,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Milliseconds from asking for the proof to having it; `None` before.
    pub prove_ms: Option<u64>,
    /// How far it is.
    #[serde(flatten)]
    pub step: Step,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Settled natively.
    Applied,
    /// Its proof is there.
    Proven,
    /// Final on L1.
    Settled {
        /// Gas of the transaction; `None` where a crash lost L1's answer, as below.
        gas_used: Option<u64>,
        /// Transaction.
        tx: Option<Bytes32>,
        /// Its block.
        block: Option<u64>,
    },
}

impl Step {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Proven => "proven",
            Self::Settled { .. } => "settled",
        }
    }
}

/// How the service is, for support: nothing of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportStatus {
    /// How well.
    pub health: HealthStatus,
    /// Names of what is not well.
    pub reasons: Vec<String>,
    /// Circuit versions, and from when on.
    pub versions: Vec<VersionFrom>,
    /// Records of the log.
    pub log_height: u64,
    /// Batches that are not final.
    pub unsettled: usize,
    /// Communities.
    pub communities: Vec<SupportCommunity>,
}

/// A community, for support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportCommunity {
    /// Community index.
    pub community: u32,
    /// First interval of the open period.
    pub next_interval: Interval,
    /// Is the period closed, and not applied?
    pub closed: bool,
    /// Code of what blocks it.
    pub blocked: Option<CodeName>,
    /// The last batch that is final.
    pub last_settled: Option<u64>,
}

/// Sections of the page, and the types of their examples.
#[cfg(test)]
pub(crate) const SECTIONS: &[crate::page::Section] = {
    use crate::grant::{GrantedTotals, Revoked};
    use crate::page::same;
    use gridveil_protocol::opening::PeriodOpening;
    &[
        ("`POST /admin/v1/communities/{c}/close` `{\"first_interval\":420000}`", Some(same::<ClosedPeriod>)),
        ("`GET /admin/v1/communities/{c}/missing`", Some(same::<MissingPackets>)),
        ("`POST /admin/v1/members/{c}/{slot}/erase` `{\"account\":0}`", Some(same::<ErasedAccount>)),
        ("`POST /admin/v1/members/{c}/{slot}/export` `{\"account\":0}`", Some(same::<crate::export::ExportPage>)),
        (
            "`POST /admin/v1/communities/{c}/tariffs` `{\"first_interval\":420000,\"tariff\":{\"intervals\":[...]}}`",
            Some(same::<PublishedTariff>),
        ),
        ("`POST /admin/v1/communities/{c}/header-operation`", Some(same::<HeaderOperationTaken>)),
        ("`GET /admin/v1/communities/{c}/header/{first_interval}`", Some(same::<PeriodOpening>)),
        (
            "`POST /admin/v1/communities` `{\"community\":7,\"shape\":\"home-32x24\",\"mechanism\":\"auction\",\"interval_length\":3600,\"first_interval\":420000,\"mdm\":\"0x<64 bytes>\"}`",
            Some(same::<ServedCommunity>),
        ),
        ("`POST /admin/v1/upgrade` `{\"circuit_version\":3,\"from_s\":1512086400}`", Some(same::<PlannedUpgrade>)),
        ("`GET /admin/v1/status`", Some(same::<Status>)),
        ("`GET /admin/v1/support/status`", Some(same::<SupportStatus>)),
        ("`GET /admin/v1/communities/{c}/totals/{first_interval}`", Some(same::<GrantedTotals>)),
        (
            "`POST /admin/v1/communities/{c}/grants/revoke` `{\"id\":\"0x<16 bytes>\",\"signature\":\"0x<64 bytes>\"}`",
            Some(same::<Revoked>),
        ),
        ("`GET /admin/v1/audit-log/{offset}`", None),
    ]
};
