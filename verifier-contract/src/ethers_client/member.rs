//! A member's own operations on L1.

use ethers::types::{Address as EthAddress, U256};

use super::bindings::{Certificate, ExitOpening, TestToken};
use super::events::u128_of;
use super::{EthersClient, malformed};
use crate::client::{L1Error, L1Future, MemberL1};
use crate::types::{Address, CertificateCall, ExitCall, ExitClaimCall, ForcedRequest, TxReceipt, WaitingPair, Word};

impl MemberL1 for EthersClient {
    fn deposit(&self, claim: Word, units: u64) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            self.approve(units).await?;
            self.transact(self.bound().deposit(claim, units).calldata()).await
        })
    }

    fn request_refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().request_refund(claim).calldata()).await })
    }

    fn refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().refund(claim).calldata()).await })
    }

    fn withdrawable(&self, account: Address) -> L1Future<'_, u128> {
        Box::pin(async move { u128_of(self.view(self.bound().withdrawable(account.into()).calldata()).await?) })
    }

    fn withdraw(&self, account: Address) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().withdraw(account.into()).calldata()).await })
    }

    fn bonds_owed(&self, account: Address) -> L1Future<'_, u128> {
        Box::pin(async move { u128_of(self.view(self.bound().eth_owed(account.into()).calldata()).await?) })
    }

    fn return_bonds(&self, community: u32) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().return_bonds(community).calldata()).await })
    }

    fn withdraw_eth(&self, account: Address) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().withdraw_eth(account.into()).calldata()).await })
    }

    fn force_withdraw(&self, community: u32, slot: u32) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let bond: U256 = self.view(self.bound().forced_bond_of(community).calldata()).await?;
            let calldata = self.bound().force_withdraw(community, slot).calldata();
            self.transact_with(EthAddress::from(self.contract), calldata, bond).await
        })
    }

    fn forced_nonce(&self, account: Address) -> L1Future<'_, u64> {
        Box::pin(async move {
            let nonce: U256 = self.view(self.bound().forced_nonce_of(account.into()).calldata()).await?;
            u64::try_from(nonce).map_err(malformed)
        })
    }

    fn force_withdraw_for(&self, request: ForcedRequest) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let bond: U256 = self.view(self.bound().forced_bond_of(request.community).calldata()).await?;
            let ForcedRequest { community, slot, requester, deadline_s, signature, .. } = request;
            let call =
                self.bound().force_withdraw_for(community, slot, requester.into(), deadline_s.into(), signature.into());
            self.transact_with(EthAddress::from(self.contract), call.calldata(), bond).await
        })
    }

    fn freeze(&self, community: u32) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().freeze(community).calldata()).await })
    }

    fn exit(&self, call: ExitCall) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let exits = self.exits().await?;
            let opening = ExitOpening {
                community: call.community,
                slot: call.slot,
                balance: call.balance,
                payout: call.payout.into(),
                s_1: call.s1,
                s_2: call.s2,
                private_commitment: call.private_commitment,
                header_leaf: call.header_leaf,
                certificates_root: call.certificates_root,
                siblings: call.siblings,
            };
            self.transact_at(exits.address(), exits.exit(opening).calldata()).await
        })
    }

    fn exit_claim(&self, call: ExitClaimCall) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let exits = self.exits().await?;
            let calldata =
                exits.exit_claim(call.recipient, call.amount, call.payout.into(), call.sa, call.sb).calldata();
            self.transact_at(exits.address(), calldata).await
        })
    }

    fn certify(&self, call: CertificateCall) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let certificate = Certificate {
                circuit_version: call.circuit_version,
                anchor: call.anchor,
                nullifier: call.nullifier,
                note_1: call.note_1,
                note_2: call.note_2,
                retirement: call.retirement,
                disclosed: call.disclosed,
                beneficiary: call.beneficiary,
                kind: call.kind.into(),
            };
            let certificates = self.certificates().await?;
            let calldata = certificates.certify(certificate, call.proof.into()).calldata();
            let fee: U256 = self.view_at(certificates.address(), certificates.fee().calldata()).await?;
            // Others may come first, and double it once: what is over comes back at once.
            self.transact_with(certificates.address(), calldata, fee * 2).await
        })
    }

    fn certificate_fee(&self) -> L1Future<'_, u128> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            u128_of(self.view_at(certificates.address(), certificates.fee().calldata()).await?)
        })
    }

    fn nullifier_used(&self, nullifier: Word) -> L1Future<'_, bool> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            self.view_at(certificates.address(), certificates.nullifier_used(nullifier).calldata()).await
        })
    }

    fn waiting_pairs(&self, limit: u32) -> L1Future<'_, Vec<WaitingPair>> {
        Box::pin(self.pairs(limit))
    }

    fn freeze_for_notes(&self, number: u64) -> L1Future<'_, TxReceipt> {
        Box::pin(async move { self.transact(self.bound().freeze_for_notes(number).calldata()).await })
    }

    fn drop_notes(&self, limit: u32) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            self.transact_at(certificates.address(), certificates.drop_notes(limit.into()).calldata()).await
        })
    }

    fn fee_owed(&self, account: Address) -> L1Future<'_, u128> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            u128_of(self.view_at(certificates.address(), certificates.fee_owed(account.into()).calldata()).await?)
        })
    }

    fn withdraw_fee(&self, account: Address) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            self.transact_at(certificates.address(), certificates.withdraw_fee(account.into()).calldata()).await
        })
    }
}

impl EthersClient {
    /// Lets the rollup take `units` of the token from the client's account, if it may not yet.
    pub(super) async fn approve(&self, units: u64) -> Result<(), L1Error> {
        let account = self.account().ok_or(L1Error::Config("the client has no key"))?;
        let address: EthAddress = self.view(self.bound().token().calldata()).await?;
        let per_unit: u64 = self.view(self.bound().token_per_unit().calldata()).await?;
        let amount = U256::from(units) * U256::from(per_unit);
        // Any ERC-20 has these.
        let token = TestToken::new(address, self.provider.clone());
        let rollup = EthAddress::from(self.contract);
        // Before the allowance is given: an account that cannot pay is left as it was.
        let has: U256 = self.view_at(address, token.balance_of(account.into()).calldata()).await?;
        if has < amount {
            return Err(L1Error::Reverted { name: "ERC20InsufficientBalance".to_owned() });
        }
        let allowed: U256 = self.view_at(address, token.allowance(account.into(), rollup).calldata()).await?;
        if allowed < amount {
            self.transact_at(address, token.approve(rollup, amount).calldata()).await?;
        }
        Ok(())
    }
}
