//! Where upgrades are: which verifiers there are, from when on, and what was announced.

use ethers::contract::EthEvent;
use ethers::types::{Address as EthAddress, U256};

use super::bindings::{VerifierRegisteredFilter, Waiting};
use super::{EthersClient, decode_log, malformed};
use crate::client::L1Error;
use crate::types::{Address, Announcement, VerifierState, Word};

/// A registered verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredVerifier {
    /// Circuit version.
    pub circuit_version: u32,
    /// Shape's identifier; 0 of certificate verifiers.
    pub shape: u32,
    /// The contract.
    pub verifier: Address,
    /// keccak256 of its code when it was registered.
    pub code_hash: Word,
    /// From when on it may be used, and whether it was.
    pub state: VerifierState,
    /// Its version is retired.
    pub retired: bool,
}

/// Where upgrades are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrades {
    /// Every registered verifier, in order.
    pub verifiers: Vec<RegisteredVerifier>,
    /// Seconds from a verifier's registration to its first use.
    pub verifier_delay_s: u64,
    /// What was announced last.
    pub announcement: Announcement,
    /// Forced requests that wait now, in all communities.
    pub waiting: u32,
    /// Communities whose forced queue is full now.
    pub full_queues: u32,
    /// Unix seconds from which an upgrade may be announced, as long as no queue is full; 0: at once.
    pub announce_from_s: u64,
}

/// What the registry has of a verifier, all zero if it has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct VerifierRecord {
    pub(super) verifier: EthAddress,
    /// Bytes.
    pub(super) proof_length: u32,
    active_from_s: u64,
    used: bool,
    hastened: bool,
    pub(super) unsound: bool,
    /// keccak256 of its code when it was registered.
    pub(super) code_hash: Word,
}

impl EthersClient {
    /// The record of `verifierOf`.
    pub(super) async fn verifier_record(&self, circuit_version: u32, shape: u32) -> Result<VerifierRecord, L1Error> {
        let registry = self.registry().await?;
        let asked = registry.verifier_of(circuit_version, shape).calldata();
        let (verifier, proof_length, active_from_s, used, hastened, unsound, code_hash) =
            self.view_at(registry.address(), asked).await?;
        Ok(VerifierRecord { verifier, proof_length, active_from_s, used, hastened, unsound, code_hash })
    }

    /// How a verifier of this shape stands. That it was hastened counts while the emergency lasts.
    pub(super) async fn verifier_state(&self, record: &VerifierRecord, shape: u32) -> Result<VerifierState, L1Error> {
        let VerifierRecord { active_from_s, used, unsound, .. } = *record;
        let hastened = record.hastened && self.emergency_lasts(shape).await?;
        Ok(VerifierState { active_from_s, used, hastened, unsound })
    }

    /// Where upgrades are.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn upgrades(&self) -> Result<Upgrades, L1Error> {
        let registry = self.registry().await?;
        let at = registry.address();
        let mut verifiers = Vec::new();
        for log in self.registry_logs(VerifierRegisteredFilter::signature(), 0).await? {
            let event: VerifierRegisteredFilter = decode_log(&log)?;
            let (circuit_version, shape) = (event.circuit_version, event.shape);
            let record = self.verifier_record(circuit_version, shape).await?;
            verifiers.push(RegisteredVerifier {
                circuit_version,
                shape,
                verifier: record.verifier.0,
                code_hash: record.code_hash,
                state: self.verifier_state(&record, shape).await?,
                retired: self.view_at(at, registry.is_retired(circuit_version).calldata()).await?,
            });
        }
        let queues: Waiting = self.view(self.bound().forced_waiting().calldata()).await?;
        let quiet: U256 = self.view(self.bound().quiet_time().calldata()).await?;
        let quiet_s = u64::try_from(quiet).map_err(malformed)?;
        Ok(Upgrades {
            verifiers,
            verifier_delay_s: self.view_at(at, registry.verifier_delay().calldata()).await?,
            announcement: Announcement {
                circuit_version: queues.circuit_version,
                at_s: queues.announced_at,
                waiting: queues.before,
            },
            waiting: queues.waiting,
            full_queues: queues.full_queues,
            announce_from_s: if queues.full_at == 0 { 0 } else { queues.full_at + quiet_s },
        })
    }
}
