//! What was decided over a rollup, in order: verifiers, upgrades, roles, pauses, the freeze, tariffs, communities.

use std::collections::BTreeMap;

use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{CommunityParams, L1Error, Role, RollupEffect as Effect, RollupEvent};
use serde::Serialize;

use crate::{clock::Clock, date::utc};

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Block.
    pub block: u64,
    /// Unix seconds of the block.
    pub time_s: u64,
    /// The same, UTC.
    pub date: String,
    /// Transaction, hex.
    pub tx: String,
    /// Over what.
    pub about: &'static str,
    /// What was decided.
    pub what: String,
}

/// What is known from earlier events when one is described.
#[derive(Default)]
struct Known {
    /// Seconds of an interval, by tariff set.
    interval_s: BTreeMap<u32, u16>,
}

/// The decisions among these events, with the times of their blocks.
pub(crate) async fn timeline(clock: &mut Clock<'_>, events: &[RollupEvent]) -> Result<Vec<Decision>, L1Error> {
    let (mut known, mut out) = (Known::default(), Vec::new());
    for event in events {
        let Some((about, what)) = known.decision(&event.effect) else { continue };
        let time_s = clock.at(event.block).await?;
        out.push(Decision { block: event.block, time_s, date: utc(time_s), tx: hex0(event.tx), about, what });
    }
    Ok(out)
}

/// `circuit version 3, shape 2`; certificates have no shape.
fn verifier(circuit_version: u32, shape: u32) -> String {
    if shape == 0 {
        format!("circuit version {circuit_version} (certificates)")
    } else {
        format!("circuit version {circuit_version}, shape {shape}")
    }
}

impl Known {
    /// What an effect decides, and about what; `None` for what happens every day.
    fn decision(&mut self, effect: &Effect) -> Option<(&'static str, String)> {
        let decision = match *effect {
            Effect::Genesis { root, circuit_version } => {
                ("rollup", format!("deployed with circuit version {circuit_version}, genesis root {}", hex0(root)))
            }
            Effect::ShapeRegistered { shape, slots, m } => {
                ("verifier", format!("shape {shape} registered: {slots} slots, {m} intervals"))
            }
            Effect::VerifierRegistered { circuit_version, shape, verifier: at, codehash, active_from, .. } => {
                let of = verifier(circuit_version, shape);
                let (at, code) = (hex0(at), hex0(codehash));
                let active = if active_from == 0 { "at once".to_owned() } else { format!("from {}", utc(active_from)) };
                ("verifier", format!("{of}: {at} registered, code {code}, may be announced or used {active}"))
            }
            Effect::UpgradeAnnounced { circuit_version, waiting } => (
                "upgrade",
                format!(
                    "circuit version {circuit_version} announced; {waiting} forced requests are served before its first batch"
                ),
            ),
            Effect::VerifierFirstUsed { circuit_version, shape, verifier: at } => {
                ("upgrade", format!("{}: first used, at {}", verifier(circuit_version, shape), hex0(at)))
            }
            Effect::VersionRetired { circuit_version } => {
                ("verifier", format!("circuit version {circuit_version} retired, for ever"))
            }
            Effect::CouncilAppointed { council, from } => {
                let who =
                    if council == [0; 20] { "no council".to_owned() } else { format!("council {}", hex0(council)) };
                ("council", format!("{who} from {}", utc(from)))
            }
            Effect::VerifierUnsound { circuit_version, shape, verifier: at } => (
                "council",
                format!("{}: {} proven unsound, refused for ever", verifier(circuit_version, shape), hex0(at)),
            ),
            Effect::VerifierHastened { circuit_version, shape, active_from } => (
                "council",
                format!("{}: hastened, may be used from {}", verifier(circuit_version, shape), utc(active_from)),
            ),
            Effect::RoleChanged { role, account, granted, by } => {
                let name =
                    Role::by_id(&role).map_or_else(|| format!("unknown {}", hex0(role)), |role| role.to_string());
                let done = if granted { "granted to" } else { "revoked from" };
                ("role", format!("{name} {done} {} by {}", hex0(account), hex0(by)))
            }
            Effect::DepositsPaused { paused } => {
                ("pause", if paused { "deposits paused" } else { "deposits resumed" }.to_owned())
            }
            Effect::Frozen { community, root } => (
                "freeze",
                format!("frozen for community {community} at root {}: nothing is settled any more", hex0(root)),
            ),
            Effect::TariffSetOpened { tariff_set, interval_length_s, m } => {
                self.interval_s.insert(tariff_set, interval_length_s);
                ("tariff", format!("set {tariff_set} opened: periods of {m} intervals of {interval_length_s} s"))
            }
            Effect::TariffRegistered { tariff_set, index, first_interval, commitment } => {
                let length = self.interval_s.get(&tariff_set).copied();
                let from = length.map_or_else(
                    || format!("interval {first_interval}"),
                    |length| utc(u64::from(first_interval) * u64::from(length)),
                );
                let replaces =
                    index.checked_sub(1).map_or_else(String::new, |last| format!(", replaces tariff {last}"));
                (
                    "tariff",
                    format!("set {tariff_set}: tariff {index} in force from {from}{replaces}; {}", hex0(commitment)),
                )
            }
            Effect::CommunityRegistered(CommunityParams {
                community, shape, interval_length_s, m, tariff_set, ..
            }) => (
                "community",
                format!(
                    "{community} added: shape {shape}, {m} intervals of {interval_length_s} s, tariff set {tariff_set}"
                ),
            ),
            Effect::CommunityInitialised { community, .. } => ("community", format!("{community} begins")),
            Effect::CommunityClosing { community, closes_at } => {
                ("community", format!("end of {community} announced, it may be closed from {}", utc(closes_at)))
            }
            Effect::CommunityEnding { community } => {
                ("community", format!("{community} takes no forced request any more"))
            }
            Effect::CommunityClosed { community, last_batch } => {
                ("community", format!("{community} closed after batch {last_batch}, for ever"))
            }
            Effect::FrozenForNotes { number, root } => (
                "freeze",
                format!("frozen for pair of notes {number} at root {}: nothing is settled any more", hex0(root)),
            ),
            Effect::NotesDropped { circuit_version, undone: true, .. } => (
                "certificate",
                format!(
                    "a statement of circuit version {circuit_version} undone: the version was retired before a batch took its notes in"
                ),
            ),
            Effect::RestSwept { amount, .. } => {
                ("freeze", format!("what was left is the treasury's: {amount} parts of the token"))
            }
            // What happens every day, or is money of one account.
            Effect::BatchSettled { .. }
            | Effect::Corrected { .. }
            | Effect::DepositMade { .. }
            | Effect::DepositConsumed { .. }
            | Effect::RefundRequested { .. }
            | Effect::Refunded { .. }
            | Effect::WithdrawalCredited { .. }
            | Effect::Withdrawn { .. }
            | Effect::EthWithdrawn { .. }
            | Effect::TransferOpened { .. }
            | Effect::TransferReceived { .. }
            | Effect::SupplierFunded { .. }
            | Effect::SupplierUnfunded { .. }
            | Effect::SupplierMoved { .. }
            | Effect::ForcedRequested { .. }
            | Effect::ForcedServed { .. }
            | Effect::BondReturned { .. }
            | Effect::Exited { .. }
            | Effect::ClaimExited { .. }
            | Effect::CertificateSpent { .. }
            | Effect::NotesDropped { .. }
            | Effect::FeeWithdrawn { .. }
            | Effect::NoteAppended { .. } => return None,
        };
        Some(decision)
    }
}
