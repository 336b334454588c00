//! Was it time? Delays, notices and deadlines of what was decided, asked and frozen, and how long an emergency lasts.
//!
//! The ledger says whether an event may follow the ones before it, and this says whether it came too early. What is fixed
//! comes from the terms, what was promised from the events, and the time from the blocks.

mod council;
mod waiting;

use std::collections::BTreeMap;

use gridveil_protocol::version::FIRST_CERTIFICATE;
use gridveil_verifier_contract::{
    L1Error, RollupEffect as Effect, RollupEvent, Word, anvil::LOCAL_CHAIN_ID, deployment::Terms,
};

use self::{council::Emergencies, waiting::Queues};
use crate::{clock::Clock, date::utc, failure::Failure};

/// Seconds before its start that a tariff is published, off the local chain (L1.TARIFF).
const TARIFF_NOTICE_S: u64 = 3_600;
/// Seconds from the freeze until the treasury gets what nobody took: ten years (VAULT.8).
const REST_DELAY_S: u64 = 3_650 * 86_400;
/// Seconds for which every forced queue must have had a place when an upgrade is announced, or requests end (L1.11).
const QUIET_S: u64 = 86_400;

/// From when a registered verifier may be used.
struct Verifier {
    active_from: u64,
    hastened: bool,
}

/// The first use that was announced last.
struct Announced {
    circuit_version: u32,
    time_s: u64,
}

/// What earlier events have promised, and since when somebody waits.
struct Deadlines<'a> {
    terms: &'a Terms,
    tariff_notice_s: u64,
    /// The transaction of the deployment; a client that tells of none is a fake.
    genesis: Option<Word>,
    verifiers: BTreeMap<(u32, u32), Verifier>,
    announced: Option<Announced>,
    emergencies: Emergencies,
    /// Seconds of an interval, by tariff set.
    interval_s: BTreeMap<u32, u16>,
    shapes: BTreeMap<u32, u32>,
    /// By community, when its notice is over; `None` when its requests have ended.
    closes_at: BTreeMap<u32, Option<u64>>,
    queues: Queues,
    refundable_at: BTreeMap<Word, u64>,
    frozen_at: Option<u64>,
    failures: Vec<Failure>,
}

/// What came before its time; nothing where the client does not tell what is fixed.
///
/// # Errors
/// [`L1Error`] of a block's time.
pub(crate) async fn check(
    chain_id: u64,
    clock: &mut Clock<'_>,
    events: &[RollupEvent],
    terms: Option<&Terms>,
) -> Result<Vec<Failure>, L1Error> {
    let Some(terms) = terms else { return Ok(Vec::new()) };
    let genesis = events.iter().find(|event| matches!(event.effect, Effect::Genesis { .. })).map(|event| event.tx);
    let mut deadlines = Deadlines {
        terms,
        tariff_notice_s: if chain_id == LOCAL_CHAIN_ID { 0 } else { TARIFF_NOTICE_S },
        genesis,
        verifiers: BTreeMap::new(),
        announced: None,
        emergencies: Emergencies::new(terms.forced_deadline_s),
        interval_s: BTreeMap::new(),
        shapes: BTreeMap::new(),
        closes_at: BTreeMap::new(),
        queues: Queues::default(),
        refundable_at: BTreeMap::new(),
        frozen_at: None,
        failures: Vec::new(),
    };
    for event in events {
        deadlines.follow(clock, event).await?;
    }
    Ok(deadlines.failures)
}

impl Deadlines<'_> {
    fn require(&mut self, holds: bool, clause: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(Failure { batch: None, clause, what: what() });
        }
    }

    /// The time of a block is asked for where a rule needs it, now or later: an audit that goes on from a checkpoint knows
    /// what was asked before, and its node may have nothing older.
    async fn follow(&mut self, clock: &mut Clock<'_>, event: &RollupEvent) -> Result<(), L1Error> {
        let block = event.block;
        let constructed = self.genesis == Some(event.tx);
        match event.effect {
            Effect::VerifierRegistered { circuit_version, shape, active_from, .. } => {
                self.registered((circuit_version, shape), active_from, clock.at(block).await?, constructed);
            }
            Effect::UpgradeAnnounced { circuit_version, waiting } => {
                let time_s = clock.at(block).await?;
                self.quiet(time_s, "L1.11", "an upgrade is announced");
                self.announced = Some(Announced { circuit_version, time_s });
                let counted = self.queues.announce();
                self.require(u64::from(waiting) == counted, "L1.11", || {
                    format!("an upgrade is announced with {waiting} requests that wait, {counted} do")
                });
            }
            Effect::VerifierFirstUsed { circuit_version, shape, .. } => {
                self.first_used((circuit_version, shape), clock.at(block).await?);
            }
            Effect::CouncilAppointed { council, from } => {
                let time_s = clock.at(block).await?;
                self.from(time_s, constructed, from, "COUNCIL.3", "a council is appointed");
                self.emergencies.appoint(council, from, time_s, constructed);
            }
            Effect::VerifierUnsound { shape, .. } => self.emergencies.proven(shape, clock.at(block).await?),
            Effect::VerifierHastened { circuit_version, shape, active_from } => {
                self.hastened((circuit_version, shape), active_from, clock.at(block).await?);
            }
            Effect::TariffSetOpened { tariff_set, interval_length_s, .. } => {
                self.interval_s.insert(tariff_set, interval_length_s);
            }
            Effect::TariffRegistered { tariff_set, index, first_interval, .. } => {
                self.published((tariff_set, index), first_interval, clock.at(block).await?);
            }
            Effect::CommunityRegistered(params) => _ = self.shapes.insert(params.community, params.shape),
            Effect::CommunityClosing { community, closes_at } => {
                let time_s = clock.at(block).await?;
                self.from(
                    time_s,
                    false,
                    closes_at,
                    "CLOSE.1",
                    &format!("the end of community {community} is announced"),
                );
                self.closes_at.insert(community, Some(closes_at));
            }
            Effect::CommunityEnding { community } => {
                let time_s = clock.at(block).await?;
                let closes_at = self.closes_at.insert(community, None).flatten();
                self.require(closes_at.is_none_or(|closes_at| time_s >= closes_at), "CLOSE.2", || {
                    format!(
                        "community {community} takes no requests from {} on, before its notice is over",
                        utc(time_s)
                    )
                });
                self.quiet(time_s, "CLOSE.2", &format!("the requests of community {community} end"));
            }
            Effect::CommunityClosed { community, .. } => self.closed(community, clock.at(block).await?),
            Effect::ForcedRequested { community, .. } => self.queues.ask(community, clock.at(block).await?),
            Effect::ForcedServed { community, .. } | Effect::BondReturned { community, .. } => {
                if self.queues.answer(community) {
                    self.queues.has_place(clock.at(block).await?);
                }
            }
            Effect::Frozen { community, .. } => {
                let time_s = clock.at(block).await?;
                self.frozen_at = Some(time_s);
                if let Some(asked_s) = self.queues.head(community) {
                    self.frozen_for(community, time_s, asked_s);
                }
            }
            Effect::CertificateSpent { .. } if self.frozen_at.is_none() => self.queues.spend(clock.at(block).await?),
            Effect::NoteAppended { .. } => self.queues.append(),
            Effect::NotesDropped { .. } => self.queues.drop_pair(),
            Effect::FrozenForNotes { number, .. } => {
                let time_s = clock.at(block).await?;
                self.frozen_at = Some(time_s);
                if let Some(pair) = self.queues.pair(number) {
                    let due = pair.due(self.terms.forced_deadline_s);
                    self.require(time_s > due, "L1C.8", || {
                        format!("frozen at {} for a pair of notes that may wait until {}", utc(time_s), utc(due))
                    });
                }
            }
            Effect::RefundRequested { claim, refundable_at } => {
                let due = clock.at(block).await?.saturating_add(self.terms.refund_delay_s);
                self.require(refundable_at == due, "VAULT.4", || {
                    format!("a refund is due at {}, and not at {}", utc(refundable_at), utc(due))
                });
                self.refundable_at.insert(claim, refundable_at);
            }
            Effect::Refunded { claim, .. } => {
                if let (None, Some(due)) = (self.frozen_at, self.refundable_at.remove(&claim)) {
                    let time_s = clock.at(block).await?;
                    self.require(time_s >= due, "VAULT.4", || {
                        format!("refunded at {}, due at {}", utc(time_s), utc(due))
                    });
                }
            }
            Effect::RestSwept { .. } => {
                let time_s = clock.at(block).await?;
                let due = self.frozen_at.map(|frozen| frozen.saturating_add(REST_DELAY_S));
                self.require(due.is_none_or(|due| time_s >= due), "VAULT.8", || {
                    format!("what was left is swept at {}, less than ten years after the freeze", utc(time_s))
                });
            }
            // No rule says when.
            Effect::Genesis { .. }
            | Effect::ShapeRegistered { .. }
            | Effect::VersionRetired { .. }
            | Effect::RoleChanged { .. }
            | Effect::DepositsPaused { .. }
            | Effect::CommunityInitialised { .. }
            | Effect::BatchSettled { .. }
            | Effect::Corrected { .. }
            | Effect::DepositMade { .. }
            | Effect::DepositConsumed { .. }
            | Effect::WithdrawalCredited { .. }
            | Effect::Withdrawn { .. }
            | Effect::EthWithdrawn { .. }
            | Effect::TransferOpened { .. }
            | Effect::TransferReceived { .. }
            | Effect::SupplierFunded { .. }
            | Effect::SupplierUnfunded { .. }
            | Effect::SupplierMoved { .. }
            | Effect::Exited { .. }
            | Effect::ClaimExited { .. }
            | Effect::CertificateSpent { .. }
            | Effect::FeeWithdrawn { .. } => {}
        }
        Ok(())
    }

    /// What is promised is after the delay; the constructor's at once.
    fn from(&mut self, time_s: u64, constructed: bool, promised: u64, clause: &'static str, what: &str) {
        let due = if constructed { time_s } else { time_s.saturating_add(self.terms.verifier_delay_s) };
        self.require(promised == due, clause, || format!("{what} from {}, and not from {}", utc(promised), utc(due)));
    }

    /// L1.6.
    fn registered(&mut self, key: (u32, u32), active_from: u64, time_s: u64, constructed: bool) {
        if self.genesis.is_some() {
            let what = format!("a verifier of circuit version {} is active", key.0);
            self.from(time_s, constructed, active_from, "L1.6", &what);
        }
        self.verifiers.insert(key, Verifier { active_from, hastened: false });
    }

    /// L1.11, CLOSE.2: no queue is full, nor was in the last day.
    fn quiet(&mut self, time_s: u64, clause: &'static str, what: &str) {
        let place_s = self.queues.place_s();
        let quiet = !self.queues.any_full() && place_s.is_none_or(|at| time_s >= at.saturating_add(QUIET_S));
        self.require(quiet, clause, || format!("{what} at {}, and within a day before a queue was full", utc(time_s)));
    }

    /// L1.6, L1.11, COUNCIL.4: after its delay, announced since then, and nobody waits who asked before; or hastened, and
    /// the emergency lasts.
    fn first_used(&mut self, key: (u32, u32), time_s: u64) {
        let (circuit_version, shape) = key;
        let settles = u64::from(circuit_version) < FIRST_CERTIFICATE;
        if let Some(Verifier { active_from, hastened }) = self.verifiers.get(&key) {
            let active_from = *active_from;
            let hastened = *hastened && settles && self.emergencies.lasts(shape, time_s);
            self.require(time_s >= active_from, "L1.6", || {
                format!("circuit version {circuit_version} is used at {}, before {}", utc(time_s), utc(active_from))
            });
            let announced = self.announced.as_ref();
            let announced =
                announced.is_some_and(|last| last.circuit_version == circuit_version && last.time_s >= active_from);
            self.require(hastened || announced, "L1.11", || {
                format!("circuit version {circuit_version} is used, and was not announced after {}", utc(active_from))
            });
            let before = self.queues.before();
            self.require(hastened || before == 0, "L1.11", || {
                format!(
                    "circuit version {circuit_version} is used while {before} wait who asked before it was announced"
                )
            });
        }
        if settles {
            self.emergencies.over(shape);
        }
    }

    /// COUNCIL.4.
    fn hastened(&mut self, key: (u32, u32), active_from: u64, time_s: u64) {
        let due = time_s.saturating_add(self.terms.forced_deadline_s);
        let may = self.emergencies.may_hasten(key.1, time_s);
        self.require(may && active_from == due, "COUNCIL.4", || {
            format!(
                "a verifier of shape {} is hastened at {}, without a council, too late after a proof, or for another time",
                key.1,
                utc(time_s)
            )
        });
        self.verifiers.insert(key, Verifier { active_from, hastened: true });
        self.emergencies.leave_until(active_from);
    }

    /// L1.TARIFF: before its start, by the notice.
    fn published(&mut self, (tariff_set, index): (u32, u32), first_interval: u32, time_s: u64) {
        let Some(length) = self.interval_s.get(&tariff_set).filter(|_| self.terms.enforce_future_tariffs) else {
            return;
        };
        let starts = u64::from(first_interval) * u64::from(*length);
        let due = time_s.saturating_add(self.tariff_notice_s.max(1));
        self.require(starts >= due, "L1.TARIFF", || {
            format!("tariff {index} of set {tariff_set} is published at {}, and starts at {}", utc(time_s), utc(starts))
        });
    }

    /// CLOSE.3, COUNCIL.5: when its requests have ended, or at once while members may leave.
    fn closed(&mut self, community: u32, time_s: u64) {
        let ended = self.closes_at.get(&community).is_some_and(Option::is_none);
        let shape = self.shapes.get(&community).copied();
        let may_leave = shape.is_none_or(|shape| self.emergencies.may_leave(shape, time_s));
        self.require(ended || may_leave, "CLOSE.3", || {
            format!("community {community} is closed at {}, when no emergency lasts", utc(time_s))
        });
    }

    /// FORCED.2, COUNCIL.6: the head has waited for longer than the deadline, and nothing holds the freeze up.
    fn frozen_for(&mut self, community: u32, time_s: u64, asked_s: u64) {
        let due = asked_s.saturating_add(self.terms.forced_deadline_s);
        self.require(time_s > due, "FORCED.2", || {
            format!("frozen at {} for a request that may wait until {}", utc(time_s), utc(due))
        });
        let held = self.shapes.get(&community).map_or(0, |shape| self.emergencies.held_until(*shape));
        self.require(time_s > held, "COUNCIL.6", || {
            format!("frozen at {}, and no request freezes until {}", utc(time_s), utc(held))
        });
    }
}

#[cfg(test)]
mod tests;
