//! A deployment as the chain has it: code, what is fixed, roles, verifiers. Whoever judges it compares
//! (`gridveil_auditor::deployment`); nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use ethers::contract::EthEvent;
use ethers::providers::{Middleware, RpcError};
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{Address as EthAddress, Bytes, Eip1559TransactionRequest, H256, Log, U256};
use gridveil_protocol::{certificate, instance};

use super::bindings::{RoleGrantedFilter, RoleRevokedFilter, VerifierRegisteredFilter};
use super::events::u128_of;
use super::upgrades::VerifierRecord;
use super::{EthersClient, REQUEST_TIMEOUT, Rpc, decode_log, provider_error};
use crate::client::L1Error;
use crate::deployment::{Hex, Terms};
use crate::roles::Role;
use crate::types::{Address, Appointed, RollupEffect, RollupEvent, Safe, Word};

#[allow(clippy::all, clippy::unwrap_used, clippy::panic, missing_docs)]
mod timelock {
    ethers::contract::abigen!(TimelockController, "artifacts/TimelockController.json");
}

/// Circuit versions from this one on are the certificate circuit's.
const FIRST_CERTIFICATE: u32 = 1_000_001;

/// A contract and its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Address.
    pub address: Address,
    /// Runtime code; empty if there is none.
    pub code: Vec<u8>,
}

/// A registered verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierOnChain {
    /// Circuit version.
    pub circuit_version: u32,
    /// Shape's identifier; 0 of certificate verifiers.
    pub shape: u32,
    /// Member slots and intervals of the shape; 0 of certificate verifiers.
    pub size: (u32, u16),
    /// The contract and its code now.
    pub contract: Found,
    /// Hash of its code when it was registered.
    pub registered_hash: Word,
    /// Exact proof length, bytes.
    pub proof_length: u32,
    /// Its version is retired.
    pub retired: bool,
    /// It is proven unsound: L1 takes nothing with its proofs, for ever.
    pub unsound: bool,
    /// It says yes to proofs that prove nothing.
    pub accepts_anything: bool,
}

/// A timelock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelockOnChain {
    /// The contract and its code.
    pub contract: Found,
    /// Seconds from an announcement to what it announces.
    pub delay_s: u64,
    /// Who have each of its roles, by the role's name.
    pub roles: BTreeMap<&'static str, BTreeSet<Address>>,
}

/// The council, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouncilOnChain {
    /// Who it is, and who was appointed and is not yet.
    pub appointed: Appointed,
    /// What the council says of itself as a Safe; `None` if there is none, or it is no Safe.
    pub safe: Option<Safe>,
}

/// A deployment as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChain {
    /// The chain.
    pub chain_id: u64,
    /// Block of the deployment, as the rollup says.
    pub created_block: u64,
    /// Roots and money.
    pub rollup: Found,
    /// Roles, verifiers, tariffs, communities.
    pub registry: Found,
    /// Certificates.
    pub certificates: Found,
    /// Openings after a freeze.
    pub exits: Found,
    /// The hasher that the exits name.
    pub poseidon: Found,
    /// The token that the rollup settles in.
    pub token: Found,
    /// Of registry, certificates and exits: the rollup that they name.
    pub rollup_of: [Address; 3],
    /// What is fixed.
    pub terms: Terms,
    /// Seconds before its start that a tariff must be registered.
    pub tariff_notice_s: u64,
    /// Who have each role.
    pub roles: BTreeMap<Role, BTreeSet<Address>>,
    /// Holders of roles that no program knows.
    pub unknown_roles: BTreeSet<Address>,
    /// The council.
    pub council: CouncilOnChain,
    /// Every registered verifier.
    pub verifiers: Vec<VerifierOnChain>,
    /// The timelock that was asked for.
    pub timelock: Option<TimelockOnChain>,
}

/// A change of who has a role: the role, the account, and whether it was granted.
type Change = (Word, Address, bool);

/// The changes among these logs, in order.
fn changes(logs: &[Log]) -> Result<Vec<Change>, L1Error> {
    let mut changes = Vec::new();
    for log in logs {
        let topic = log.topics.first().copied();
        if topic == Some(RoleGrantedFilter::signature()) {
            let RoleGrantedFilter { role, account, .. } = decode_log(log)?;
            changes.push((role, account.0, true));
        } else if topic == Some(RoleRevokedFilter::signature()) {
            let RoleRevokedFilter { role, account, .. } = decode_log(log)?;
            changes.push((role, account.0, false));
        }
    }
    Ok(changes)
}

/// Who have which roles after these changes.
fn holders(changes: impl IntoIterator<Item = Change>) -> BTreeMap<Word, BTreeSet<Address>> {
    let mut roles: BTreeMap<Word, BTreeSet<Address>> = BTreeMap::new();
    for (role, account, granted) in changes {
        let accounts = roles.entry(role).or_default();
        if granted {
            accounts.insert(account)
        } else {
            accounts.remove(&account)
        };
    }
    roles.retain(|_, accounts| !accounts.is_empty());
    roles
}

impl EthersClient {
    /// The deployment at the client's contract; `timelock` with a block before its creation.
    ///
    /// # Errors
    /// [`L1Error`]; `Malformed` if there is no rollup.
    pub async fn inspect(&self, timelock: Option<(Address, u64)>) -> Result<OnChain, L1Error> {
        self.inspect_after(timelock, &[], 0).await
    }

    /// The same, where the events before a block are known.
    ///
    /// # Errors
    /// As there.
    pub async fn inspect_after(
        &self,
        timelock: Option<(Address, u64)>,
        known: &[RollupEvent],
        from_block: u64,
    ) -> Result<OnChain, L1Error> {
        let parts = self.parts().await?;
        let (registry, certificates, exits) = (self.registry().await?, self.certificates().await?, self.exits().await?);
        let poseidon: EthAddress = self.view_at(parts.exits, exits.poseidon().calldata()).await?;
        let rollup_of = [
            self.view_at::<EthAddress>(parts.registry, registry.rollup().calldata()).await?.0,
            self.view_at::<EthAddress>(parts.certificates, certificates.rollup().calldata()).await?.0,
            self.view_at::<EthAddress>(parts.exits, exits.rollup().calldata()).await?.0,
        ];
        let (mut roles, mut unknown_roles) = (BTreeMap::new(), BTreeSet::new());
        let later = changes(&self.logs_of(vec![parts.registry], None, from_block).await?)?;
        let before = known.iter().filter_map(|event| {
            let RollupEffect::RoleChanged { role, account, granted, .. } = event.effect else { return None };
            Some((role, account, granted))
        });
        for (id, accounts) in holders(before.chain(later)) {
            match Role::by_id(&id) {
                Some(role) => _ = roles.insert(role, accounts),
                None => unknown_roles.extend(accounts),
            }
        }
        let terms = self.read_terms().await?;
        let timelock = match timelock {
            Some((address, from_block)) => Some(self.timelock(address, from_block).await?),
            None => None,
        };
        Ok(OnChain {
            chain_id: self.chain_id,
            created_block: self.view(self.bound().created_at().calldata()).await?,
            rollup: self.found(self.contract).await?,
            registry: self.found(parts.registry.0).await?,
            certificates: self.found(parts.certificates.0).await?,
            exits: self.found(parts.exits.0).await?,
            poseidon: self.found(poseidon.0).await?,
            token: self.found(terms.token.0).await?,
            rollup_of,
            terms,
            tariff_notice_s: self.view_at(parts.registry, registry.tariff_notice().calldata()).await?,
            roles,
            unknown_roles,
            council: self.council_found(known, from_block).await?,
            verifiers: self.verifiers(known, from_block).await?,
            timelock,
        })
    }

    /// Who have each role, by the registry's events.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn role_holders(&self) -> Result<BTreeMap<Role, BTreeSet<Address>>, L1Error> {
        let registry = self.parts().await?.registry;
        let all = holders(changes(&self.logs_of(vec![registry], None, 0).await?)?);
        Ok(all.into_iter().filter_map(|(id, accounts)| Some((Role::by_id(&id)?, accounts))).collect())
    }

    async fn council_found(&self, known: &[RollupEvent], from_block: u64) -> Result<CouncilOnChain, L1Error> {
        let appointed = self.appointed_after(known, from_block).await?;
        let safe = match appointed.council {
            Some(council) => self.safe(council).await?,
            None => None,
        };
        Ok(CouncilOnChain { appointed, safe })
    }

    async fn found(&self, address: Address) -> Result<Found, L1Error> {
        Ok(Found { address, code: self.code(address).await? })
    }

    pub(super) async fn read_terms(&self) -> Result<Terms, L1Error> {
        let registry = self.registry().await?;
        let at = registry.address();
        let token: EthAddress = self.view(self.bound().token().calldata()).await?;
        let treasury: EthAddress = self.view(self.bound().treasury().calldata()).await?;
        Ok(Terms {
            genesis_root: Hex(self.view(self.bound().genesis_root().calldata()).await?),
            token: Hex(token.0),
            token_per_unit: self.view(self.bound().token_per_unit().calldata()).await?,
            forced_deadline_s: self.view(self.bound().forced_deadline().calldata()).await?,
            refund_delay_s: self.view(self.bound().refund_delay().calldata()).await?,
            verifier_delay_s: self.view_at(at, registry.verifier_delay().calldata()).await?,
            forced_bond_wei: u128_of(self.view::<U256>(self.bound().forced_bond().calldata()).await?)?,
            enforce_future_tariffs: self.view_at(at, registry.enforce_future_tariffs().calldata()).await?,
            treasury: Hex(treasury.0),
        })
    }

    async fn verifiers(&self, known: &[RollupEvent], from_block: u64) -> Result<Vec<VerifierOnChain>, L1Error> {
        let registry = self.registry().await?;
        let at = registry.address();
        let before = known.iter().filter_map(|event| {
            let RollupEffect::VerifierRegistered { circuit_version, shape, .. } = event.effect else { return None };
            Some((circuit_version, shape))
        });
        let mut registered = Vec::from_iter(before);
        for log in self.registry_logs(VerifierRegisteredFilter::signature(), from_block).await? {
            let event: VerifierRegisteredFilter = decode_log(&log)?;
            registered.push((event.circuit_version, event.shape));
        }
        let mut verifiers = Vec::new();
        for (circuit_version, shape) in registered {
            let VerifierRecord { verifier, proof_length, unsound, code_hash: registered_hash, .. } =
                self.verifier_record(circuit_version, shape).await?;
            let size: (u32, u16) = self.view_at(at, registry.shape_of(shape).calldata()).await?;
            let instances =
                if circuit_version < FIRST_CERTIFICATE { instance::ROWS.len() } else { certificate::ROWS.len() };
            verifiers.push(VerifierOnChain {
                circuit_version,
                shape,
                size,
                contract: self.found(verifier.0).await?,
                registered_hash,
                proof_length,
                retired: self.view_at(at, registry.is_retired(circuit_version).calldata()).await?,
                unsound,
                accepts_anything: self.accepts_anything(verifier, instances, proof_length).await?,
            });
        }
        Ok(verifiers)
    }

    /// Asks a verifier about two proofs that prove nothing: zeros, and the generator wherever a point may be.
    async fn accepts_anything(
        &self,
        verifier: EthAddress,
        instances: usize,
        proof_length: u32,
    ) -> Result<bool, L1Error> {
        let words = instances + usize::try_from(proof_length / 32).unwrap_or(usize::MAX).min(4096);
        let zeros = vec![0u8; 32 * words];
        let mut generators = zeros.clone();
        for (number, word) in generators.chunks_exact_mut(32).skip(instances).enumerate() {
            word.iter_mut().skip(31).for_each(|last| *last = if number % 2 == 0 { 1 } else { 2 });
        }
        for proof in [zeros, generators] {
            let tx: TypedTransaction = Eip1559TransactionRequest::new().to(verifier).data(Bytes::from(proof)).into();
            let late = |_| L1Error::Unreachable(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()));
            match tokio::time::timeout(REQUEST_TIMEOUT, self.provider.call(&tx, self.at())).await.map_err(late)? {
                Ok(answer) if answer.as_ref() == H256::from_low_u64_be(1).as_bytes() => return Ok(true),
                Ok(_) => {}
                // It refuses, in whatever way.
                Err(error) if error.as_error_response().is_some() => {}
                Err(error) => return Err(provider_error(error)),
            }
        }
        Ok(false)
    }

    async fn timelock(&self, address: Address, from_block: u64) -> Result<TimelockOnChain, L1Error> {
        let at = EthAddress::from(address);
        let contract = self.found(address).await?;
        if contract.code.is_empty() {
            return Ok(TimelockOnChain { contract, delay_s: 0, roles: BTreeMap::new() });
        }
        let bound: timelock::TimelockController<Rpc> = timelock::TimelockController::new(at, self.provider.clone());
        let delay: U256 = self.view_at(at, bound.get_min_delay().calldata()).await?;
        let name = |id: &Word| {
            let known = ["PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE"];
            let named = known.into_iter().find(|name| ethers::utils::keccak256(name) == *id);
            named.unwrap_or(if *id == Word::default() { "DEFAULT_ADMIN_ROLE" } else { "another role" })
        };
        let to = self.latest().await?;
        let mut roles: BTreeMap<_, BTreeSet<Address>> = BTreeMap::new();
        for (id, accounts) in holders(changes(&self.read_logs(&(vec![at], None), from_block, to).await?)?) {
            roles.entry(name(&id)).or_default().extend(accounts);
        }
        Ok(TimelockOnChain { contract, delay_s: u64::try_from(delay).unwrap_or(u64::MAX), roles })
    }
}
