//! A rollup that is upgraded while it lives: real proofs on a local chain under version 2, then under a circuit with one
//! constraint more, its verifier registered and waited for; and an auditor that replays both in one run.

mod nodes;
mod pinned;

use std::sync::Arc;

use gridveil_auditor::{AuditReport, Failure, audit, native::NativeVerifier};
use gridveil_circuits::version::ONE_MORE;
use gridveil_protocol::{
    community::Community,
    field::{Fr, to_bytes},
    fixture::{self, Recipe, Stream},
    instance::{ROWS, domain},
    market::Mechanism,
    params::STATE_DEPTH,
    settlement::{SettlementInput, Transition, apply},
    tree::SparseTree,
    version::CircuitVersion,
};
use gridveil_prover::{
    job::ProofJob,
    progress::Silent,
    prover::{Prove as _, Prover},
    srs::{LOCAL_CHAIN_ID, Params, Srs, SrsSource},
};
use gridveil_verifier_contract::{
    ChainL1 as _, CommunityParams, EthersClient, OperatorL1 as _, RollupConfig, SettleCall, SettlementL1 as _,
    VerifierInit,
    anvil::{ANVIL_KEYS, Anvil},
    codegen::{GeneratedVerifier, generate_settlement_verifier},
    verifiers::code_hash,
};

use crate::common::{CACHE, prover, shape, v2};

const COMMUNITY: u32 = 5;
const V2: CircuitVersion = CircuitVersion::V2;

/// Keys of one version, and the verifier contract made from them.
struct Version<'a> {
    number: CircuitVersion,
    prover: &'a Prover,
    verifier: GeneratedVerifier,
}

impl<'a> Version<'a> {
    fn new(number: CircuitVersion, prover: &'a Prover) -> Self {
        let (params, keys) = prover.params(shape().name).zip(prover.keys(shape().name)).unwrap();
        let name = format!("SettlementTiny4x2V{number}");
        let verifier = generate_settlement_verifier(params, &keys.vk, vec![ROWS.len()], &name).unwrap();
        Self { number, prover, verifier }
    }

    fn on_l1(&self) -> u32 {
        u32::try_from(self.number.number()).unwrap()
    }

    async fn deployed(&self, client: &EthersClient) -> VerifierInit {
        VerifierInit {
            shape: shape().id,
            slots: u32::try_from(shape().members).unwrap(),
            m: u16::try_from(shape().intervals).unwrap(),
            verifier: client.deploy_code(&self.verifier.creation).await.unwrap(),
            proof_length: u32::try_from(self.verifier.stats.proof_bytes).unwrap(),
        }
    }
}

/// The community of the fixture, and what became of it.
struct Rollup {
    l1: EthersClient,
    next: SettlementInput,
    batches: u32,
}

impl Rollup {
    async fn new(client: &EthersClient, first: &Version<'_>, genesis: SettlementInput) -> Self {
        let config = RollupConfig::single_account(client.account().unwrap(), to_bytes(&alone(&genesis).root()), false);
        let init = first.deployed(client).await;
        let l1 = client.deploy_rollup(&config, &[init]).await.unwrap();
        let header = &genesis.community.header;
        l1.open_tariff_set(1, header.interval_length, header.intervals).await.unwrap();
        l1.register_community(CommunityParams {
            community: COMMUNITY,
            shape: shape().id,
            interval_length_s: header.interval_length,
            m: header.intervals,
            tariff_set: 1,
            genesis_terms: [0; 32],
        })
        .await
        .unwrap();
        Self { l1, next: genesis, batches: 0 }
    }

    /// Everything signed for this contract and a version.
    fn signed_for(&self, version: CircuitVersion) -> SettlementInput {
        let mut input = self.next.clone();
        input.state_path = alone(&input).path(u64::from(COMMUNITY));
        input.domain = domain(LOCAL_CHAIN_ID, &self.l1.contract(), version.number());
        let context = input.context();
        for slot in 0..input.packets.len() {
            let packet = &mut input.packets[slot].packet;
            (packet.context, packet.salts.exit[0]) = (context, packet.salts.exit[0] + Fr::from(1u64));
            fixture::resign(&mut input, slot).unwrap();
        }
        input
    }

    /// Publishes the tariff of the next period.
    async fn publish(&self) {
        let (first, tariff) = (self.next.community.header.next_interval, self.next.tariff.commitment());
        self.l1.register_tariff(1, first.0, to_bytes(&tariff)).await.unwrap();
    }

    /// The next period's batch, proved in a version.
    fn proved(&self, version: &Version<'_>) -> (Transition, SettleCall) {
        let input = self.signed_for(version.number);
        let transition = apply(input.clone()).unwrap();
        let job = ProofJob { circuit_version: version.number.number(), ..ProofJob::new(1, input) };
        let call = SettleCall {
            circuit_version: version.on_l1(),
            community: COMMUNITY,
            first_interval: transition.input.community.header.next_interval.0,
            tariff_index: self.batches,
            new_root: to_bytes(&transition.instance.new_root),
            community_new: to_bytes(&transition.instance.community_new),
            ops_digest: to_bytes(&transition.instance.ops_digest),
            data: transition.data.iter().map(to_bytes).collect(),
            proof: version.prover.prove_job(&job, &Silent).unwrap().proof,
        };
        (transition, call)
    }

    /// Settles the next period, whose tariff is published.
    async fn settle(&mut self, version: &Version<'_>) {
        let (transition, call) = self.proved(version);
        self.l1.settle(call).await.unwrap();
        self.next.community = Community::clone(&transition.after);
        self.next.tariff = fixture::tariff(&mut Stream::new(99), shape().intervals);
        self.batches += 1;
    }
}

/// The state tree in which the community is alone.
fn alone(input: &SettlementInput) -> SparseTree {
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(u64::from(COMMUNITY), input.community.node());
    state
}

fn genesis() -> SettlementInput {
    let recipe = Recipe { shape: shape(), seed: 3, mechanism: Mechanism::Auction, used: 2 };
    let mut input = fixture::settlement(&recipe).unwrap();
    input.community.index = COMMUNITY;
    input
}

fn keys(versions: &[CircuitVersion], params: &Arc<Params>) -> NativeVerifier {
    let mut verifier = NativeVerifier::default();
    for version in versions {
        verifier.add(*version, shape(), Arc::clone(params)).unwrap();
    }
    verifier
}

/// Settles twice, upgrades, settles twice more.
async fn upgraded(client: &EthersClient, old: &Version<'_>, new: &Version<'_>, genesis: SettlementInput) -> Rollup {
    let mut rollup = Rollup::new(client, old, genesis).await;
    rollup.publish().await;
    rollup.settle(old).await;
    let init = new.deployed(client).await;
    rollup.l1.register_verifier(new.on_l1(), init).await.unwrap();
    rollup.publish().await;
    // Nobody is moved to a circuit before they could leave; meanwhile the old one goes on.
    let (_, early) = rollup.proved(new);
    assert!(rollup.l1.settle(early).await.unwrap_err().is_revert("VerifierNotActive"));
    rollup.settle(old).await;
    let delay = RollupConfig::single_account([0; 20], [0; 32], false).verifier_delay_s;
    let now = rollup.l1.timestamp().await.unwrap();
    rollup.l1.set_local_time(now + delay + 1).await.unwrap();
    rollup.l1.announce_upgrade(new.on_l1()).await.unwrap();
    for _ in 0..2 {
        rollup.publish().await;
        rollup.settle(new).await;
    }
    rollup
}

#[test]
fn an_auditor_replays_a_chain_across_an_upgrade() {
    let one_more = prover(ONE_MORE);
    let (old, new) = (Version::new(V2, v2()), Version::new(ONE_MORE, &one_more));
    let vk = |version: &Version<'_>| version.prover.keys(shape().name).unwrap().vk.transcript_repr();
    assert_ne!(vk(&old), vk(&new), "another key");
    assert_ne!(old.verifier.runtime, new.verifier.runtime, "another verifier");

    let genesis = genesis();
    let nodes = [(COMMUNITY, genesis.community.node())];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let anvil = Anvil::spawn().unwrap();
    let rollup = runtime.block_on(async {
        let client = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
        upgraded(&client, &old, &new, genesis).await
    });
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, CACHE.as_ref()).unwrap();
    let params = srs.params(shape().k, &Silent).unwrap();
    let audited = |verifier: &NativeVerifier| runtime.block_on(audit(&rollup.l1, verifier, &nodes, 0)).unwrap();
    let uses = |report: &AuditReport| {
        let of = |used: &gridveil_auditor::VersionUse| {
            let runs = [&used.native, &used.by_verifier, &used.missing].map(|batches| batches.to_string());
            (used.version, runs, used.first_used)
        };
        report.versions.iter().map(of).collect::<Vec<_>>()
    };
    let runs = |native: &str, by_verifier: &str, missing: &str| [native, by_verifier, missing].map(str::to_owned);

    // A key set a version: both are replayed in one run.
    let report = audited(&keys(&[V2, ONE_MORE], &params));
    assert_eq!((report.failures.as_slice(), report.batches, report.proofs_verified), (&[][..], 4, 4));
    let later = (ONE_MORE, runs("3-4", "", ""), Some(3));
    assert_eq!(uses(&report), [(V2, runs("1-2", "", ""), None), later.clone()]);

    // Without the old one, the version that is missing is named.
    let mut verifier = keys(&[ONE_MORE], &params);
    let report = audited(&verifier);
    assert!(!report.is_ok() && report.proofs_verified == 2);
    assert_eq!(Vec::from_iter(report.missing_versions()), [V2]);
    assert_eq!(uses(&report), [(V2, runs("", "", "1-2"), None), later.clone()]);
    for (batch, Failure { batch: found, clause, what }) in (1..).zip(&report.failures) {
        assert_eq!((*found, *clause), (Some(batch), "L1.VERSION"));
        assert!(what.contains("circuit version 2 is missing"), "{what}");
    }
    assert_eq!(report.failures.len(), 2);

    // Code of another contract is not that of the verifier.
    verifier.recognise(V2, shape().id, code_hash(&new.verifier.runtime), "another");
    assert_eq!(uses(&audited(&verifier)), uses(&report));
    // By the verifier's code alone, the batches are the contract's word, and the report says so.
    verifier.recognise(V2, shape().id, code_hash(&old.verifier.runtime), &old.verifier.name);
    let report = audited(&verifier);
    assert!(report.is_ok() && report.proofs_verified == 2, "{:?}", report.failures);
    assert_eq!(uses(&report), [(V2, runs("", "1-2", ""), None), later]);
    assert!(report.table().contains("batches 1-2 only by the verifier contract (SettlementTiny4x2V2)"));
}
