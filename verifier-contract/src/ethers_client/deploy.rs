//! Deployment of the rollup and what it needs.

use ethers::abi::{Tokenizable as _, Tokenize as _};
use ethers::providers::Middleware;
use ethers::types::{Address as EthAddress, BlockNumber, U256};
use gridveil_protocol::hex::hex0;
use gridveil_protocol::params::CIRCUIT_VERSION;
use serde_json::{Map, Value, json};

use super::bindings::{Config as AbiConfig, TESTTOKEN_BYTECODE, TestToken, VerifierInit as AbiVerifierInit};
use super::events::u128_of;
use super::{Act, EthersClient, Rpc, malformed, request};
use crate::anvil::LOCAL_CHAIN_ID;
use crate::artifact::Contract;
use crate::client::L1Error;
use crate::types::{Address, TxReceipt, Word};

/// What the deployer of a test token gets, smallest parts: 1,000,000 of six decimals.
const TEST_FUNDS: u64 = 1_000_000_000_000;

/// A circuit shape and its verifier, for [`EthersClient::deploy_rollup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierInit {
    /// Shape id.
    pub shape: u32,
    /// Member slots N.
    pub slots: u32,
    /// Intervals of one period.
    pub m: u16,
    /// Verifier contract.
    pub verifier: Address,
    /// Exact proof length, bytes.
    pub proof_length: u32,
}

/// Constructor arguments of the rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupConfig {
    /// Role administration.
    pub admin: Address,
    /// Brings batches.
    pub operator: Address,
    /// The meter data manager: registers communities.
    pub mdm: Address,
    /// Publishes tariffs.
    pub tariff_authority: Address,
    /// May pause deposits.
    pub regulator: Address,
    /// Registers circuit versions.
    pub upgrader: Address,
    /// May shorten a delay when a verifier in use is proven unsound; zero for none.
    pub council: Address,
    /// State root before the first batch.
    pub genesis_root: Word,
    /// Circuit version of the first verifiers.
    pub circuit_version: u32,
    /// Seconds from a later verifier's registration to its first use.
    pub verifier_delay_s: u64,
    /// Tariffs must be registered before they start, an hour before on any chain but the local one, which alone takes
    /// false.
    pub enforce_future_tariffs: bool,
    /// Verifier of certificate proofs and its exact proof length, bytes.
    pub certificate_verifier: Option<(Address, u32)>,
    /// The ERC-20 that is settled in; `None` deploys a test token and gives the deployer some of it, on the local chain
    /// only.
    pub token: Option<Address>,
    /// Smallest parts of the token in a unit of 10,000,000 nano.
    pub token_per_unit: u64,
    /// Seconds within which a forced withdrawal must be served.
    pub forced_deadline_s: u64,
    /// Seconds from a refund's request to its payment; at least `forced_deadline_s` on any chain but the local one.
    pub refund_delay_s: u64,
    /// Bond of the first request in a forced queue, wei.
    pub forced_bond_wei: u128,
    /// Gets what leaves supplier accounts and fee accounts.
    pub treasury: Address,
}

impl RollupConfig {
    /// One account in every role, and a refund delay below the forced deadline: for the local chain.
    #[must_use]
    pub fn single_account(account: Address, genesis_root: Word, enforce_future_tariffs: bool) -> Self {
        Self {
            admin: account,
            operator: account,
            mdm: account,
            tariff_authority: account,
            regulator: account,
            upgrader: account,
            council: Address::default(),
            genesis_root,
            circuit_version: u32::try_from(CIRCUIT_VERSION).unwrap_or(u32::MAX),
            verifier_delay_s: 14 * 24 * 3600,
            enforce_future_tariffs,
            certificate_verifier: None,
            token: None,
            token_per_unit: 10_000,
            forced_deadline_s: 7 * 24 * 3600,
            refund_delay_s: 6 * 3600,
            forced_bond_wei: 10_000_000_000_000_000,
            treasury: account,
        }
    }
}

pub(super) fn abi_init(init: &VerifierInit) -> AbiVerifierInit {
    AbiVerifierInit {
        shape: init.shape,
        slots: init.slots,
        m: init.m,
        verifier: EthAddress::from(init.verifier),
        proof_length: init.proof_length,
    }
}

/// Creation code of a contract of this program, without arguments.
///
/// # Errors
/// [`L1Error::Malformed`] if the artifact was damaged before this program was built.
pub fn creation(contract: Contract) -> Result<Vec<u8>, L1Error> {
    Ok(contract.artifact().map_err(malformed)?.creation)
}

/// What a rollup's constructor builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foundations {
    /// The ERC-20 that is settled in.
    pub token: Address,
    /// Creates certificates and exits.
    pub parts: Address,
    /// The hasher.
    pub poseidon: Address,
}

/// Creation code of the rollup with its arguments.
///
/// # Errors
/// As [`creation`].
pub fn rollup_creation(config: &RollupConfig, on: Foundations, verifiers: &[VerifierInit]) -> Result<Vec<u8>, L1Error> {
    let (certificate_verifier, certificate_proof_length) = config.certificate_verifier.unwrap_or_default();
    let verifiers: Vec<AbiVerifierInit> = verifiers.iter().map(abi_init).collect();
    let config = AbiConfig {
        admin: config.admin.into(),
        operator: config.operator.into(),
        mdm: config.mdm.into(),
        tariff_authority: config.tariff_authority.into(),
        regulator: config.regulator.into(),
        upgrader: config.upgrader.into(),
        council: config.council.into(),
        genesis_root: config.genesis_root,
        circuit_version: config.circuit_version,
        verifier_delay: config.verifier_delay_s,
        enforce_future_tariffs: config.enforce_future_tariffs,
        certificate_verifier: certificate_verifier.into(),
        certificate_proof_length,
        token: on.token.into(),
        token_per_unit: config.token_per_unit,
        forced_deadline: config.forced_deadline_s,
        refund_delay: config.refund_delay_s,
        forced_bond: config.forced_bond_wei,
        treasury: config.treasury.into(),
        parts: on.parts.into(),
        poseidon: on.poseidon.into(),
    };
    let mut code = creation(Contract::Rollup)?;
    code.extend(ethers::abi::encode(&(config, verifiers).into_tokens()));
    Ok(code)
}

/// Creation code of a timelock without an administrator: it changes itself alone.
///
/// # Errors
/// As [`creation`].
pub fn timelock_creation(delay_s: u64, proposers: &[Address], executors: &[Address]) -> Result<Vec<u8>, L1Error> {
    let accounts = |list: &[Address]| list.iter().map(|account| EthAddress::from(*account)).collect::<Vec<_>>();
    let arguments = [
        U256::from(delay_s).into_token(),
        accounts(proposers).into_token(),
        accounts(executors).into_token(),
        EthAddress::zero().into_token(),
    ];
    let mut code = creation(Contract::Timelock)?;
    code.extend(ethers::abi::encode(&arguments));
    Ok(code)
}

/// Address of the contract that an account creates with its transaction of this nonce.
#[must_use]
pub fn created_address(account: Address, nonce: u64) -> Address {
    ethers::utils::get_contract_address(EthAddress::from(account), nonce).0
}

impl EthersClient {
    /// The code of an account; empty if it has none.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn code(&self, account: Address) -> Result<Vec<u8>, L1Error> {
        Ok(request(self.provider.get_code(EthAddress::from(account), self.at())).await?.to_vec())
    }

    /// Mined transactions of an account: its next nonce.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn mined_transactions(&self, account: Address) -> Result<u64, L1Error> {
        let latest = Some(BlockNumber::Latest.into());
        Ok(request(self.provider.get_transaction_count(EthAddress::from(account), latest)).await?.as_u64())
    }

    /// Ether of an account, wei.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn balance_wei(&self, account: Address) -> Result<u128, L1Error> {
        u128_of(request(self.provider.get_balance(EthAddress::from(account), None)).await?)
    }

    /// Number of the latest block.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn block_number(&self) -> Result<u64, L1Error> {
        Ok(request(self.provider.get_block_number()).await?.as_u64())
    }

    /// The most that a unit of gas would be offered now, wei.
    ///
    /// # Errors
    /// [`L1Error`]; `Pending` if gas costs more than the client may pay.
    pub async fn gas_price_wei(&self) -> Result<u128, L1Error> {
        Ok(self.fees_now().await?.most)
    }

    /// Gas of a creation by an account, as if some accounts had other code: to try what builds on contracts that are not
    /// deployed yet. The contract's refusal has its name.
    ///
    /// # Errors
    /// [`L1Error`], also of a node that does not estimate with other code.
    pub async fn estimate_creation(
        &self,
        account: Address,
        creation: &[u8],
        as_if: &[(Address, Vec<u8>)],
    ) -> Result<u64, L1Error> {
        let transaction = json!({ "from": hex0(account), "data": hex0(creation) });
        let code = |(account, code): &(Address, Vec<u8>)| (hex0(account), json!({ "code": hex0(code) }));
        let others: Map<String, Value> = as_if.iter().map(code).collect();
        let mut arguments = vec![transaction, json!("latest")];
        if !others.is_empty() {
            arguments.push(Value::Object(others));
        }
        let gas: U256 = request(self.provider.request("eth_estimateGas", arguments)).await?;
        u64::try_from(gas).map_err(malformed)
    }

    /// Decimals of an ERC-20.
    ///
    /// # Errors
    /// [`L1Error`]; `Malformed` if there is no such contract.
    pub async fn token_decimals(&self, token: Address) -> Result<u8, L1Error> {
        let token = EthAddress::from(token);
        self.view_at(token, self.token_at(token).decimals().calldata()).await
    }

    /// Deploys the rollup, with PoseidonT5, GridveilParts and on the local chain a test token, and gives a client on it, with the same
    /// key.
    ///
    /// # Errors
    /// [`L1Error`]; `Config` if a test token is asked for on another chain.
    pub async fn deploy_rollup(&self, config: &RollupConfig, verifiers: &[VerifierInit]) -> Result<Self, L1Error> {
        let token = match config.token {
            Some(token) => token,
            None => self.deploy_test_token().await?,
        };
        let parts = self.deploy_code(&creation(Contract::Parts)?).await?;
        let poseidon = self.deploy_code(&creation(Contract::Poseidon)?).await?;
        let creation = rollup_creation(config, Foundations { token, parts, poseidon }, verifiers)?;
        let contract = self.deploy_code(&creation).await?;
        Ok(self.at_contract(contract))
    }

    /// Registers a verifier of a later circuit version or shape (upgrader).
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn register_verifier(&self, circuit_version: u32, init: VerifierInit) -> Result<TxReceipt, L1Error> {
        self.act(Act::RegisterVerifier(circuit_version, init)).await
    }

    /// Announces the first use of a circuit version's verifiers (upgrader): who waits in a forced queue now is served
    /// before it.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn announce_upgrade(&self, circuit_version: u32) -> Result<TxReceipt, L1Error> {
        self.act(Act::AnnounceUpgrade(circuit_version)).await
    }

    /// Makes test tokens for an account: local chains only.
    ///
    /// # Errors
    /// [`L1Error`], also if the chain is not the local one.
    pub async fn mint_test_tokens(&self, account: Address, amount: u64) -> Result<TxReceipt, L1Error> {
        let token: EthAddress = self.view(self.bound().token().calldata()).await?;
        self.mint(token, account, amount).await
    }

    /// What the vault holds for balances, supplier accounts, fee accounts and open claims, nano.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn pool_nano(&self) -> Result<u64, L1Error> {
        let (pool, _open, _funds): (u64, u64, u64) = self.view(self.bound().totals().calldata()).await?;
        Ok(pool)
    }

    /// An account's balance of the rollup's token, smallest parts.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn token_balance(&self, account: Address) -> Result<u128, L1Error> {
        let token: EthAddress = self.view(self.bound().token().calldata()).await?;
        let balance: U256 = self.view_at(token, self.token_at(token).balance_of(account.into()).calldata()).await?;
        u128_of(balance)
    }

    fn token_at(&self, token: EthAddress) -> TestToken<Rpc> {
        TestToken::new(token, self.provider.clone())
    }

    async fn mint(&self, token: EthAddress, account: Address, amount: u64) -> Result<TxReceipt, L1Error> {
        if self.chain_id != LOCAL_CHAIN_ID {
            return Err(L1Error::Config("test tokens are for the local chain"));
        }
        self.transact_at(token, self.token_at(token).mint(account.into(), amount.into()).calldata()).await
    }

    async fn deploy_test_token(&self) -> Result<Address, L1Error> {
        if self.chain_id != LOCAL_CHAIN_ID {
            return Err(L1Error::Config("test tokens are for the local chain"));
        }
        let account = self.account().ok_or(L1Error::Config("the client has no key"))?;
        let token = self.deploy_code(&TESTTOKEN_BYTECODE).await?;
        self.mint(token.into(), account, TEST_FUNDS).await?;
        Ok(token)
    }
}
