//! External signers: one that signs what it is asked to, in each of the forms that there are, and some that do not.

use ethers::signers::{LocalWallet, Signer};
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{Address as EthAddress, Eip1559TransactionRequest};
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, LOCAL_CHAIN_ID};
use gridveil_verifier_contract::ethers_client::Key;
use gridveil_verifier_contract::{ChainL1, EthersClient, L1Error, OperatorL1, RollupConfig, address_of};
use serde_json::json;

use crate::fake::{refusal, result, serve};

/// How a signer answers.
#[derive(Clone, Copy)]
enum Form {
    /// The transaction's bytes.
    Bytes,
    /// An object with them, as geth.
    Object,
    /// Under another name, as clef.
    Clef,
}

type Change = fn(Eip1559TransactionRequest) -> Eip1559TransactionRequest;

/// A signer with a key, which signs what `change` makes of what it is asked to.
fn signer(key: &'static str, form: Form, change: Change) -> String {
    serve(move |request| {
        let method = request["method"].as_str().unwrap();
        let name = if matches!(form, Form::Clef) { "account_signTransaction" } else { "eth_signTransaction" };
        if method != name {
            return Some(refusal(request, -32_601, "the method does not exist"));
        }
        let asked: TypedTransaction = serde_json::from_value(request["params"][0].clone()).unwrap();
        let TypedTransaction::Eip1559(asked) = asked else { panic!("{asked:?}") };
        let chain = request["params"][0]["chainId"].as_str().unwrap().trim_start_matches("0x");
        let asked = asked.chain_id(u64::from_str_radix(chain, 16).unwrap());
        let tx: TypedTransaction = change(asked).into();
        let wallet: LocalWallet = key.parse().unwrap();
        let signature = wallet.with_chain_id(tx.chain_id().unwrap().as_u64()).sign_transaction_sync(&tx).unwrap();
        let raw = tx.rlp_signed(&signature).to_string();
        Some(match form {
            Form::Bytes => result(request, raw),
            Form::Object | Form::Clef => result(request, json!({ "raw": raw, "tx": {} })),
        })
    })
}

async fn client(anvil: &Anvil, signer: &str, contract: Option<[u8; 20]>) -> EthersClient {
    let key = Key::external(signer, address_of(ANVIL_KEYS[0]).unwrap()).unwrap();
    EthersClient::through(&[anvil.url()], Some(key), contract).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_signs_what_it_is_asked_to_is_as_good_as_a_key() {
    let anvil = Anvil::spawn().unwrap();
    let deployer = client(&anvil, &signer(ANVIL_KEYS[0], Form::Bytes, |tx| tx), None).await;
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], true), &[]).await.unwrap();
    for (set, form) in [(1, Form::Bytes), (2, Form::Object), (3, Form::Clef)] {
        let l1 = client(&anvil, &signer(ANVIL_KEYS[0], form, |tx| tx), Some(l1.contract())).await;
        l1.open_tariff_set(set, 3600, 24).await.unwrap();
        assert_eq!(l1.tariff_set(set).await.unwrap(), Some((3600, 24)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_signer_changes_is_named_and_nothing_is_sent() {
    let anvil = Anvil::spawn().unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], true), &[]).await.unwrap();
    let before = l1.mined_transactions(account).await.unwrap();
    let lies: [(&str, Change); 8] = [
        ("recipient", |tx| tx.to(EthAddress::repeat_byte(7))),
        ("value", |tx| tx.value(1)),
        ("data", |tx| tx.data(vec![1])),
        ("chain", |tx| tx.chain_id(LOCAL_CHAIN_ID + 1)),
        ("number", |tx| tx.nonce(1_000)),
        ("gas", |tx| tx.gas(10_000_000)),
        ("fee", |tx| tx.max_fee_per_gas(1_000_000_000_000_u64)),
        ("tip", |tx| tx.max_priority_fee_per_gas(7)),
    ];
    for (named, lie) in lies {
        let l1 = client(&anvil, &signer(ANVIL_KEYS[0], Form::Object, lie), Some(l1.contract())).await;
        let error = l1.open_tariff_set(1, 3600, 24).await.unwrap_err();
        assert!(matches!(error, L1Error::SignedOther(what) if what == named), "{named}: {error}");
        assert!(!error.is_retryable());
    }
    let other = client(&anvil, &signer(ANVIL_KEYS[1], Form::Bytes, |tx| tx), Some(l1.contract())).await;
    assert!(matches!(other.open_tariff_set(1, 3600, 24).await, Err(L1Error::SignedOther("account"))));
    assert_eq!(l1.mined_transactions(account).await.unwrap(), before);
    assert_eq!(l1.tariff_set(1).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_refuses_or_says_nothing_is_asked_again_later() {
    let anvil = Anvil::spawn().unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], true), &[]).await.unwrap();
    let refuses = serve(|request| Some(refusal(request, -32_000, "request denied")));
    let silent = serve(|_| None);
    let odd = serve(|request| Some(result(request, 7)));
    for (url, said) in [(refuses, "refused: request denied"), (silent, "no answer"), (odd, "something else")] {
        let error = client(&anvil, &url, Some(l1.contract())).await.open_tariff_set(1, 3600, 24).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains(said), "{error}");
    }
}
