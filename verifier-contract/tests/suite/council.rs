//! A verifier that is proven unsound, and the council, through both L1 clients: they must give the same answers.

use gridveil_protocol::{field::to_bytes, instance::domain};
use gridveil_verifier_contract::{
    Address, Appointed, Contradiction, EthersClient, ExitCall, ForcedEntry, L1Error, ProvenStatement, RollupEffect,
    SettleCall, TxReceipt, VerifierInit, VerifierState,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    ethers_client::{Act, address_of},
    memory::MemoryL1,
};
use serde_json::json;

use crate::{
    fake::ask,
    l1::{FIRST, PROOF_LENGTH, Roles, START, call, deployed, memory, refused, scenario, word},
};

const COUNCIL: Address = [0xc0; 20];
const FEW: Address = [0xc1; 20];
/// Sends the fake's transactions.
const ME: Address = [0x42; 20];
const DEADLINE_S: u64 = 7 * 24 * 3600;
const DELAY_S: u64 = 14 * 24 * 3600;
const VERSION: u32 = 2;
const NEXT: u32 = 3;
const SHAPE: u32 = 3;
const UNIT_NANO: u64 = 10_000_000;

/// Answers as a Safe of eight owners: `getThreshold` with one byte, `getOwners` with eight empty words.
fn safe_code(threshold: u8) -> String {
    format!("0x5f3560e01c63e75235b814601c5760205f5260086020526101405ff35b60{threshold:02x}5f5260205ff3")
}

/// What the roles do besides, and what only one of the two clients tells.
trait Acts {
    async fn appoint(&self, council: Option<Address>) -> Result<(), L1Error>;
    async fn appointed(&self) -> Appointed;
    async fn prove(&self, contradiction: &Contradiction) -> Result<TxReceipt, L1Error>;
    async fn hasten(&self, by: Address, circuit_version: u32) -> Result<(), L1Error>;
    async fn register_next(&self);
}

fn statement(contract: &Address, version: u32) -> ProvenStatement {
    let domain = to_bytes(&domain(31_337, contract, version.into()));
    let [old, new, community, node] = [4, 0x77, 7, 0x66].map(word);
    let rows = [domain, old, new, community, word(1), word(9), node, word(0), word(1), word(2)];
    ProvenStatement { rows, proof: vec![1; PROOF_LENGTH] }
}

/// One node, two roots.
fn contradiction(contract: &Address) -> Contradiction {
    let mut second = statement(contract, VERSION);
    second.rows[2] = word(0x78);
    Contradiction { circuit_version: VERSION, shape: SHAPE, first: statement(contract, VERSION), second }
}

fn exit(balance: u64) -> ExitCall {
    ExitCall {
        community: 7,
        slot: 1,
        balance,
        payout: [5; 20],
        s1: word(1),
        s2: word(2),
        private_commitment: word(3),
        header_leaf: word(4),
        certificates_root: word(5),
        siblings: vec![word(6); 3 * 9],
    }
}

fn next(root: u8) -> SettleCall {
    SettleCall { circuit_version: NEXT, ..call(root, FIRST + 24, 1) }
}

/// COUNCIL.1 to COUNCIL.6, after [`scenario`].
async fn emergency<W: AsyncFn(u64)>(l1: &impl Roles, acts: &impl Acts, stranger: Address, warp: W) {
    let later = async |seconds: u64| warp(l1.timestamp().await.unwrap() + seconds).await;
    let proof = contradiction(&l1.contract());
    not_proven(acts, &proof).await;
    assert!(!l1.in_emergency(7).await.unwrap());
    refused(l1.in_emergency(9).await.unwrap_err(), "UnknownCommunity");
    refused(l1.exit(exit(UNIT_NANO)).await.unwrap_err(), "NotFrozen");

    // It is one when the delay is over, and acts only after a proof.
    refused(acts.appoint(Some([9; 20])).await.unwrap_err(), "unknown");
    refused(acts.appoint(Some(FEW)).await.unwrap_err(), "NotCouncil");
    acts.appoint(Some(COUNCIL)).await.unwrap();
    let waits = acts.appointed().await;
    let (who, from_s) = waits.next.unwrap();
    assert_eq!((waits.council, who), (None, Some(COUNCIL)));
    assert!(from_s + 60 > l1.timestamp().await.unwrap() + DELAY_S);
    refused(acts.hasten(COUNCIL, NEXT).await.unwrap_err(), "OnlyCouncil");
    warp(from_s + 10).await;
    assert_eq!(acts.appointed().await, Appointed { council: Some(COUNCIL), next: None });
    refused(acts.hasten(COUNCIL, NEXT).await.unwrap_err(), "NoEmergency");

    // Somebody waits already, and would freeze all before the fix.
    l1.force_withdraw(7, 2).await.unwrap();
    let proven = acts.prove(&proof).await.unwrap();
    let told: Vec<RollupEffect> = l1.events(proven.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    let [RollupEffect::VerifierUnsound { circuit_version: VERSION, shape: SHAPE, .. }] = told[..] else {
        panic!("{told:?}")
    };
    let old = l1.verifier(VERSION, SHAPE).await.unwrap().unwrap();
    assert!(old.unsound && old.used && l1.in_emergency(7).await.unwrap());
    refused(l1.settle(call(0x50, FIRST + 24, 1)).await.unwrap_err(), "VerifierIsUnsound");
    refused(acts.prove(&proof).await.unwrap_err(), "NotInUse");
    refused(l1.exit(exit(UNIT_NANO - 1)).await.unwrap_err(), "NotFrozen");

    refused(acts.hasten(COUNCIL, NEXT).await.unwrap_err(), "UnknownVerifier");
    acts.register_next().await;
    refused(acts.hasten(stranger, NEXT).await.unwrap_err(), "OnlyCouncil");
    refused(acts.hasten(COUNCIL, VERSION).await.unwrap_err(), "AlreadyHastened");
    acts.hasten(COUNCIL, NEXT).await.unwrap();
    refused(acts.hasten(COUNCIL, NEXT).await.unwrap_err(), "AlreadyHastened");
    let hastened = l1.verifier(NEXT, SHAPE).await.unwrap().unwrap();
    let VerifierState { active_from_s, used: false, hastened: true, unsound: false } = hastened else {
        panic!("{hastened:?}")
    };
    assert!(active_from_s <= l1.timestamp().await.unwrap() + DEADLINE_S);
    refused(l1.settle(next(0x52)).await.unwrap_err(), "VerifierNotActive");

    // Who waited for a deadline freezes nobody yet. The fix settles without an announcement, and ends the emergency.
    later(DEADLINE_S + 10).await;
    refused(l1.freeze(7).await.unwrap_err(), "DeadlineNotOver");
    assert!(l1.in_emergency(7).await.unwrap());
    let first = l1.settle(next(0x52)).await.unwrap();
    let told: Vec<RollupEffect> = l1.events(first.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    assert!(matches!(told[0], RollupEffect::VerifierFirstUsed { circuit_version: NEXT, shape: SHAPE, .. }), "{told:?}");
    assert!(!l1.in_emergency(7).await.unwrap());
    refused(l1.exit(exit(UNIT_NANO)).await.unwrap_err(), "NotFrozen");
    refused(l1.freeze(7).await.unwrap_err(), "DeadlineNotOver");
    later(DEADLINE_S).await;
    refused(l1.return_bonds(7).await.unwrap_err(), "NotFrozen");
    l1.freeze(7).await.unwrap();
    let [ForcedEntry { payer, bond, .. }] = l1.forced_queue(7).await.unwrap()[..] else { panic!("one waits") };
    assert_eq!(l1.bonds_owed(payer).await.unwrap(), 0);
    let returned = l1.return_bonds(7).await.unwrap();
    let told: Vec<RollupEffect> = l1.events(returned.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    assert_eq!(told, [RollupEffect::BondReturned { community: 7, payer, bond }]);
    assert_eq!(l1.bonds_owed(payer).await.unwrap(), bond);
    l1.withdraw_eth(payer).await.unwrap();
    assert_eq!(l1.bonds_owed(payer).await.unwrap(), 0);
}

/// What proves nothing.
async fn not_proven(acts: &impl Acts, proof: &Contradiction) {
    let with = |change: &dyn Fn(&mut Contradiction)| {
        let mut other = proof.clone();
        change(&mut other);
        other
    };
    let same = with(&|c| c.second = c.first.clone());
    let other_version = with(&|c| c.circuit_version = 99);
    let elsewhere = with(&|c| c.second.rows[0] = word(1));
    let beyond = with(&|c| c.second.rows[3][29] = 1);
    let large = with(&|c| c.second.rows[5] = [0xff; 32]);
    let short = with(&|c| c.second.proof.truncate(32));
    for (proof, name) in [
        (same, "NoContradiction"),
        (other_version, "NotInUse"),
        (elsewhere, "NotAStatement"),
        (beyond, "NotAStatement"),
        (large, "NotAStatement"),
        (short, "ProofLength"),
    ] {
        refused(acts.prove(&proof).await.unwrap_err(), name);
    }
}

impl Acts for MemoryL1 {
    async fn appoint(&self, council: Option<Address>) -> Result<(), L1Error> {
        self.appoint_council(council).map(drop)
    }

    async fn appointed(&self) -> Appointed {
        self.appointed_council()
    }

    async fn prove(&self, contradiction: &Contradiction) -> Result<TxReceipt, L1Error> {
        self.prove_unsound(contradiction)
    }

    async fn hasten(&self, by: Address, circuit_version: u32) -> Result<(), L1Error> {
        self.set_caller(by);
        let done = self.hasten(circuit_version, SHAPE);
        self.set_caller(ME);
        done.map(drop)
    }

    async fn register_next(&self) {
        self.register_verifier(NEXT, SHAPE).unwrap();
    }
}

#[tokio::test]
async fn memory_l1_knows_an_emergency() {
    let l1 = memory();
    l1.set_caller(ME);
    l1.put_safe(COUNCIL, 6, 8);
    l1.put_safe(FEW, 5, 8);
    let warp = async |timestamp| l1.set_timestamp(timestamp);
    scenario(&l1, &warp).await;
    emergency(&l1, &l1, ME, &warp).await;
}

/// COUNCIL.5: the first exit closes the community; the others of it follow. The contract's own test has real paths
/// (`Council.t.sol`).
#[tokio::test]
async fn an_exit_in_an_emergency_closes_the_community() {
    use gridveil_verifier_contract::{AuditorL1 as _, ChainL1 as _, MemberL1 as _, SettlementL1 as _, Stage};
    let l1 = memory();
    scenario(&l1, async |timestamp| l1.set_timestamp(timestamp)).await;
    l1.put_pool(10 * UNIT_NANO);
    l1.prove_unsound(&contradiction(&l1.contract())).unwrap();
    let left = l1.exit(exit(2 * UNIT_NANO)).await.unwrap();
    let told: Vec<RollupEffect> = l1.events(left.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    let [RollupEffect::CommunityClosed { community: 7, last_batch: 2 }, RollupEffect::Exited { slot: 1, .. }] =
        told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(l1.end_of(7).await.unwrap().stage, Stage::Closed);
    refused(l1.exit(exit(2 * UNIT_NANO)).await.unwrap_err(), "AlreadyExited");
    l1.exit(ExitCall { slot: 2, ..exit(5) }).await.unwrap();
    refused(l1.settle(next(0x52)).await.unwrap_err(), "CommunityIsClosed");
}

/// The contract, with an account that is a Safe.
struct OnChain<'a> {
    l1: &'a EthersClient,
    anvil: &'a Anvil,
    init: VerifierInit,
}

impl OnChain<'_> {
    fn node(&self, method: &str, params: serde_json::Value) {
        let answer = ask(&self.anvil.url(), &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        assert!(answer.get("result").is_some(), "{answer}");
    }
}

impl Acts for OnChain<'_> {
    async fn appoint(&self, council: Option<Address>) -> Result<(), L1Error> {
        self.l1.act(Act::AppointCouncil(council.unwrap_or_default())).await.map(drop)
    }

    async fn appointed(&self) -> Appointed {
        self.l1.appointed().await.unwrap()
    }

    async fn prove(&self, contradiction: &Contradiction) -> Result<TxReceipt, L1Error> {
        self.l1.act(Act::ProveUnsound(Box::new(contradiction.clone()))).await
    }

    async fn hasten(&self, by: Address, circuit_version: u32) -> Result<(), L1Error> {
        let act = Act::Hasten(circuit_version, SHAPE);
        self.l1.try_act(by, act.clone()).await?;
        let (to, data) = self.l1.call_of(act).await?;
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        self.node("anvil_setBalance", json!([hex(&by), "0xde0b6b3a7640000"]));
        self.node("anvil_impersonateAccount", json!([hex(&by)]));
        self.node("eth_sendTransaction", json!([{ "from": hex(&by), "to": hex(&to), "data": hex(&data) }]));
        self.node("anvil_mine", json!([]));
        Ok(())
    }

    async fn register_next(&self) {
        self.l1.register_verifier(NEXT, self.init).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_has_the_same_emergency() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let (l1, init) = deployed(&deployer).await;
    let acts = OnChain { l1: &l1, anvil: &anvil, init };
    let account = |account: Address| format!("0x{}", hex::encode(account));
    acts.node("anvil_setCode", json!([account(COUNCIL), safe_code(6)]));
    acts.node("anvil_setCode", json!([account(FEW), safe_code(5)]));
    let warp = async |timestamp| l1.set_local_time(timestamp).await.unwrap();
    scenario(&l1, &warp).await;
    let few = l1.safe(FEW).await.unwrap().unwrap();
    assert!(few.threshold == 5 && few.owners.len() == 8 && !few.may_be_council());
    assert_eq!(l1.safe([9; 20]).await.unwrap(), None);
    // A settlement's own statement is what the contract has composed of it: it contradicts nothing.
    let settled = gridveil_verifier_contract::AuditorL1::settled_batches(&l1, 0).await.unwrap();
    let stated = l1.statement_of(settled[1].tx).await.unwrap();
    assert_eq!((stated.circuit_version, stated.shape, stated.batch), (VERSION, SHAPE, 2));
    assert_eq!(
        stated.statement.rows[..4],
        [statement(&gridveil_verifier_contract::ChainL1::contract(&l1), VERSION).rows[0], word(2), word(4), word(7)]
    );
    assert!(l1.statement_of([1; 32]).await.is_err());
    emergency(&l1, &acts, address_of(ANVIL_KEYS[1]).unwrap(), &warp).await;
}
