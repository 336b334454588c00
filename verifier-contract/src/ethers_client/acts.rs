//! What the roles do on L1: each act can be tried, sent, or given as a call to whoever sends for a multisignature.

use ethers::providers::Middleware;
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{Address as EthAddress, Bytes, Eip1559TransactionRequest, U256};

use super::bindings::GridveilRegistry;
use super::deploy::abi_init;
use super::{EthersClient, Rpc, VerifierInit, malformed, request, required};
use crate::client::L1Error;
use crate::roles::Role;
use crate::types::{Address, CommunityParams, Contradiction, TxReceipt, Word};

/// Who may do an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Who has the role.
    Role(Role),
    /// The council.
    Council,
    /// Any account.
    Anybody,
}

impl Actor {
    /// Name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Role(role) => role.name(),
            Self::Council => "council",
            Self::Anybody => "anybody",
        }
    }
}

/// One act of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Gives an account a role (admin).
    Grant(Role, Address),
    /// Takes it away (admin).
    Revoke(Role, Address),
    /// Refuses deposits from now on, or takes them again (regulator).
    PauseDeposits(bool),
    /// Registers a verifier of a later circuit version or shape (upgrader).
    RegisterVerifier(u32, VerifierInit),
    /// Announces the first use of a circuit version's verifiers (upgrader).
    AnnounceUpgrade(u32),
    /// Retires a circuit version, at once and for ever (upgrader).
    RetireVersion(u32),
    /// Registers a community (meter data manager).
    RegisterCommunity(CommunityParams),
    /// Announces a community's end (meter data manager).
    AnnounceClosing(u32),
    /// Ends a community's forced requests, and closes it if nobody waits (meter data manager).
    CloseCommunity(u32),
    /// Opens a tariff set: number, interval length in seconds, intervals of a period (tariff authority).
    OpenTariffSet(u32, u16, u16),
    /// Publishes a tariff: set, first interval, commitment (tariff authority).
    RegisterTariff(u32, u32, Word),
    /// Appoints a council, the zero address for none (admin).
    AppointCouncil(Address),
    /// Proves that a verifier in use is unsound (anybody).
    ProveUnsound(Box<Contradiction>),
    /// Shortens the delay of a registered verifier: circuit version, shape (council).
    Hasten(u32, u32),
}

impl Act {
    /// Who may do it.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::Role(match self {
            Self::Grant(..) | Self::Revoke(..) | Self::AppointCouncil(_) => Role::Admin,
            Self::PauseDeposits(_) => Role::Regulator,
            Self::RegisterVerifier(..) | Self::AnnounceUpgrade(_) | Self::RetireVersion(_) => Role::Upgrader,
            Self::RegisterCommunity(_) | Self::AnnounceClosing(_) | Self::CloseCommunity(_) => Role::Mdm,
            Self::OpenTariffSet(..) | Self::RegisterTariff(..) => Role::TariffAuthority,
            Self::Hasten(..) => return Actor::Council,
            Self::ProveUnsound(_) => return Actor::Anybody,
        })
    }
}

fn proving(registry: &GridveilRegistry<Rpc>, contradiction: Contradiction) -> Option<Bytes> {
    let Contradiction { circuit_version, shape, first, second } = contradiction;
    let rows = |rows: [Word; 10]| rows.map(|row| U256::from_big_endian(&row));
    let (a, b) = (rows(first.rows), rows(second.rows));
    registry.prove_unsound(circuit_version, shape, a, first.proof.into(), b, second.proof.into()).calldata()
}

impl EthersClient {
    /// The contract and the calldata of an act.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn call_of(&self, act: Act) -> Result<(Address, Vec<u8>), L1Error> {
        let registry = self.registry().await?;
        let rollup = self.bound();
        let (at, calldata) = match act {
            Act::Grant(role, account) => {
                (registry.address(), registry.grant_role(role.id(), account.into()).calldata())
            }
            Act::Revoke(role, account) => {
                (registry.address(), registry.revoke_role(role.id(), account.into()).calldata())
            }
            Act::PauseDeposits(paused) => (rollup.address(), rollup.set_deposits_paused(paused).calldata()),
            Act::RegisterVerifier(version, init) => {
                (registry.address(), registry.register_verifier(version, abi_init(&init)).calldata())
            }
            Act::AnnounceUpgrade(version) => (rollup.address(), rollup.announce_upgrade(version).calldata()),
            Act::RetireVersion(version) => (registry.address(), registry.retire_version(version).calldata()),
            Act::RegisterCommunity(CommunityParams {
                community,
                shape,
                interval_length_s,
                m,
                tariff_set,
                genesis_terms,
            }) => {
                let call =
                    registry.register_community(community, shape, interval_length_s, m, tariff_set, genesis_terms);
                (registry.address(), call.calldata())
            }
            Act::AnnounceClosing(community) => (registry.address(), registry.announce_closing(community).calldata()),
            Act::CloseCommunity(community) => (registry.address(), registry.close_community(community).calldata()),
            Act::OpenTariffSet(set, interval_length_s, m) => {
                (registry.address(), registry.open_tariff_set(set, interval_length_s, m).calldata())
            }
            Act::RegisterTariff(set, first_interval, commitment) => {
                (registry.address(), registry.register_tariff(set, first_interval, commitment).calldata())
            }
            Act::AppointCouncil(council) => (registry.address(), registry.appoint_council(council.into()).calldata()),
            Act::ProveUnsound(contradiction) => (registry.address(), proving(&registry, *contradiction)),
            Act::Hasten(version, shape) => (registry.address(), registry.hasten(version, shape).calldata()),
        };
        Ok((at.0, required(calldata)?.to_vec()))
    }

    /// Gas of an act by an account, which sends nothing: the contract's refusal has its name.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn try_act(&self, account: Address, act: Act) -> Result<u64, L1Error> {
        let (to, data) = self.call_of(act).await?;
        let transaction = Eip1559TransactionRequest::new().from(EthAddress::from(account));
        let tx: TypedTransaction = transaction.to(EthAddress::from(to)).data(Bytes::from(data)).into();
        request(self.provider.call(&tx, None)).await?;
        let gas = request(self.provider.estimate_gas(&tx, None)).await?;
        u64::try_from(gas).map_err(malformed)
    }

    /// Does an act with the client's key.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn act(&self, act: Act) -> Result<TxReceipt, L1Error> {
        let (to, data) = self.call_of(act).await?;
        self.transact_at(EthAddress::from(to), Some(Bytes::from(data))).await
    }

    /// Seconds from the announcement of a community's end to its earliest closing.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn closing_notice_s(&self) -> Result<u64, L1Error> {
        let registry = self.registry().await?;
        self.view_at(registry.address(), registry.verifier_delay().calldata()).await
    }

    /// Unix seconds at which a community's last settled period ended; 0 before its first batch.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn settled_through(&self, community: u32) -> Result<u64, L1Error> {
        self.view(self.bound().settled_through(community).calldata()).await
    }

    /// Interval length in seconds and intervals of a period of a tariff set, if it is open.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn tariff_set(&self, tariff_set: u32) -> Result<Option<(u16, u16)>, L1Error> {
        let registry = self.registry().await?;
        let set: (u16, u16) = self.view_at(registry.address(), registry.tariff_set_of(tariff_set).calldata()).await?;
        Ok((set.1 != 0).then_some(set))
    }
}
