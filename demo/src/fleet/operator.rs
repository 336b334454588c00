//! The operator's side: a local chain with the contracts, the sequencer's process, who makes proofs, the meter data manager's
//! substitutes, and the auditor.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_api::{
    admin::{Step, TariffRequest},
    code,
};
use gridveil_auditor::{AuditReport, ProofVerifier, VerifierError, native::NativeVerifier};
use gridveil_cli::mdm::{Silent, substituted};
use gridveil_keystore::secret_file;
use gridveil_meter_client::submit::{Admin, ApiError, Retry, Sequencer};
use gridveil_protocol::{
    field::{Fr, to_bytes},
    hex::hex0,
    opening::PeriodOpening,
    version::{CircuitVersion, Domains},
};
use gridveil_prover::{
    progress::Reporter,
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::{Srs, SrsSource},
};
use gridveil_proving_api::{ProofResult, Timings};
use gridveil_verifier_contract::{
    ChainL1, EthersClient, OperatorL1,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions, LOCAL_CHAIN_ID},
};
use tokio::runtime::Runtime;

use super::{
    process::Process,
    town::{Place, Town},
};
use crate::{
    demo::{deploy, scenario::TARIFF_SET},
    genesis,
    homes::INTERVAL_LENGTH,
};

/// The chain's clock begins so long before the first day: tariffs are registered before they begin.
const LEAD_S: u64 = 6 * 3600;
/// Creates a contract of ten bytes that returns the word 1: a verifier that takes everything.
const TAKES_ALL: [u8; 18] =
    [0x69, 0x60, 0x01, 0x60, 0, 0x52, 0x60, 0x20, 0x60, 0, 0xf3, 0x5f, 0x52, 0x60, 0x0a, 0x60, 0x16, 0xf3];
/// Every byte of a stand-in.
const STAND_IN: u8 = 0x5a;
/// Longest wait for a day to be final on L1.
const FINAL: Duration = Duration::from_secs(3600);
const POLL: Duration = Duration::from_millis(50);
/// A sequencer that was killed is back long before this ends.
pub(super) const PATIENT: Retry =
    Retry { attempts: 18, first_pause: Duration::from_millis(10), timeout: Duration::from_secs(30) };

/// Who makes the proofs.
pub(super) enum Proofs {
    /// Nobody: a stand-in that L1's verifier takes.
    StandIn,
    /// `gridveil prover run`, with keys from this folder.
    Real(PathBuf),
}

/// Everything that runs. What is dropped first needs what is dropped later.
pub(super) struct Operator {
    /// Where the sequencer listens for homes.
    pub public: SocketAddr,
    pub admin: Admin,
    pub l1: EthersClient,
    runtime: Runtime,
    _stand_in: Option<StandIn>,
    _prover: Option<Process>,
    sequencer: Process,
    cache: Option<PathBuf>,
    proof_bytes: usize,
    /// Communities and their nodes, for the auditor.
    nodes: Vec<(u32, Fr)>,
    kills: AtomicU64,
    anvil: Anvil,
}

impl Operator {
    pub(super) fn start(town: &Town, dir: &Path, proofs: Proofs) -> anyhow::Result<Self> {
        let communities = town.communities()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let starts = town.first_interval(0).start(INTERVAL_LENGTH);
        let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(starts - LEAD_S), ..AnvilOptions::default() })?;
        let (code, proof_bytes) = deploy::committed()?;
        let code = if matches!(proofs, Proofs::Real(_)) { code } else { TAKES_ALL.to_vec() };
        let l1 = runtime.block_on(async {
            let l1 = deploy::deploy(&anvil.url(), &communities, &code, proof_bytes).await?;
            for (day, tariff) in town.tariffs.iter().enumerate() {
                let first_interval = town.first_interval(day).0;
                l1.register_tariff(TARIFF_SET, first_interval, to_bytes(&tariff.commitment())).await?;
            }
            anyhow::Ok(l1)
        })?;
        let nodes = communities.iter().map(|community| (community.index, community.node())).collect();
        let token = hex::encode(gridveil_keystore::random::<16>()?);
        secret(dir, "token", token.as_bytes())?;
        secret(dir, "operator", ANVIL_KEYS.first().context("no key")?.as_bytes())?;
        secret(dir, "genesis", &serde_json::to_vec(&communities)?)?;
        drop(communities);
        let [public, admin] = [free()?, free()?];
        let words = words(&anvil.url(), &hex0(l1.contract()), [public, admin]);
        let (spool, key) = (dir.join("spool"), dir.join("spool-key"));
        let (cache, stand_in, prover) = match proofs {
            Proofs::StandIn => (None, Some(StandIn::start(&spool, &key, usize::try_from(proof_bytes)?)?), None),
            Proofs::Real(cache) => {
                let cache = std::path::absolute(cache)?;
                SpoolKey::open_or_create(&key)?;
                let words = ["prover", "run", "--dir", "spool", "--key", "spool-key", "--shape", town.shape.name];
                let mut words: Vec<OsString> = words.map(Into::into).to_vec();
                words.extend(["--cache".into(), cache.clone().into()]);
                (Some(cache), None, Some(Process::start(words, dir, "prover", None)?))
            }
        };
        let sequencer = Process::start(words, dir, "sequencer", Some(admin))?;
        let admin = Admin::new(&format!("http://{admin}"), &token, PATIENT)?;
        for plan in &town.plans {
            for (day, tariff) in town.tariffs.iter().enumerate() {
                let request = TariffRequest { first_interval: town.first_interval(day), tariff: tariff.clone() };
                admin.publish_tariff(plan.index, &request)?;
            }
        }
        let (kills, proof_bytes) = (AtomicU64::new(0), usize::try_from(proof_bytes)?);
        Ok(Self {
            public,
            admin,
            l1,
            runtime,
            _stand_in: stand_in,
            _prover: prover,
            sequencer,
            cache,
            proof_bytes,
            nodes,
            kills,
            anvil,
        })
    }

    /// Node of the chain.
    pub(super) fn rpc(&self) -> String {
        self.anvil.url()
    }

    /// Kills the sequencer and starts it again.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        self.kills.fetch_add(1, Ordering::Relaxed);
        self.sequencer.kill()
    }

    pub(super) fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }

    /// Largest resident memory of the sequencer, bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.sequencer.peak_bytes()
    }

    /// Lets a day end: closes every community, with substitutes for who is silent. Gives how many of these there were.
    pub(super) fn close(&self, town: &Town, day: usize, mdm: &Sequencer, domains: &Domains) -> anyhow::Result<u64> {
        let ends = town.first_interval(day + 1).start(INTERVAL_LENGTH);
        self.runtime.block_on(self.l1.set_local_time(ends))?;
        let kill_after = town.kills.get(day).and_then(|kills| kills.after_closed);
        let mut substitutes = 0;
        for (number, plan) in town.plans.iter().enumerate() {
            let first_interval = town.first_interval(day);
            match self.admin.close(plan.index, first_interval) {
                Err(ApiError::Refused(problem)) if problem.is(code::CLOSE_MISSING) => {
                    substitutes += self.substitute(town, day, plan.index, mdm, domains)?;
                    self.admin.close(plan.index, first_interval)?;
                }
                closed => drop(closed?),
            }
            if kill_after == Some(number + 1) {
                self.kill()?;
            }
        }
        Ok(substitutes)
    }

    fn substitute(
        &self,
        town: &Town,
        day: usize,
        index: u32,
        mdm: &Sequencer,
        domains: &Domains,
    ) -> anyhow::Result<u64> {
        let terms = mdm.community(index)?;
        let first_interval = town.first_interval(day);
        let missing = self.admin.missing(index)?.missing;
        for one in &missing {
            let at = Silent {
                domain: domains.of_period(first_interval, terms.interval_length),
                community: index,
                slot: one.slot,
                first_interval,
                scale: one.scale,
                previous_substitute: one.previous_substitute,
            };
            let place = Place { community: usize::try_from(index)?, slot: one.slot.into() };
            let packet = substituted(at, &terms, town.estimate(place, day), &genesis::mdm_key())?;
            mdm.submit(&packet)?;
        }
        Ok(missing.len() as u64)
    }

    /// Waits until a day is final on L1, and hears of every settlement.
    pub(super) fn until_final(&self, town: &Town, day: usize, said: &dyn Fn(usize)) -> anyhow::Result<()> {
        let (start, first_interval, mut before) = (Instant::now(), town.first_interval(day), 0);
        loop {
            let status = self.admin.status()?;
            if let Some(why) = &status.stopped {
                bail!("the sequencer stopped: {why}");
            }
            let settled = |plan: &&genesis::Plan| {
                let batch = status.community(plan.index).and_then(|community| community.batch_of(first_interval));
                batch.is_some_and(|batch| matches!(batch.step, Step::Settled { .. }))
            };
            let settled = town.plans.iter().filter(settled).count();
            said(settled - before);
            before = settled;
            if settled == town.plans.len() {
                return Ok(());
            }
            ensure!(start.elapsed() < FINAL, "not final within {} s: {:?}", FINAL.as_secs(), status.retrying);
            std::thread::sleep(POLL);
        }
    }

    /// Both headers of a community's day.
    pub(super) fn opening(&self, town: &Town, index: u32, day: usize) -> anyhow::Result<PeriodOpening> {
        Ok(self.admin.period_opening(index, town.first_interval(day))?)
    }

    /// Replays L1 alone, without a key; gives what was found, and L1's state root.
    pub(super) fn audit(&self, town: &Town) -> anyhow::Result<(AuditReport, Fr)> {
        let l1 = self.runtime.block_on(EthersClient::connect(&self.rpc(), None, Some(self.l1.contract())))?;
        let verifier: Box<dyn ProofVerifier> = match &self.cache {
            None => Box::new(TakesStandIns { bytes: self.proof_bytes }),
            Some(cache) => {
                let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, cache)?;
                let mut verifier = NativeVerifier::default();
                verifier.add(CircuitVersion::CURRENT, town.shape, srs.params(town.shape.k, &Reporter::stderr())?)?;
                Box::new(verifier)
            }
        };
        let report = self.runtime.block_on(gridveil_auditor::audit(&l1, verifier.as_ref(), &self.nodes, 0))?;
        let root = self.runtime.block_on(l1.state_root())?;
        Ok((report, gridveil_protocol::field::from_bytes(&root).context("L1's state root is no field element")?))
    }
}

/// Options of the sequencer, which runs in the fleet's directory.
fn words(rpc: &str, contract: &str, [public, admin]: [SocketAddr; 2]) -> Vec<OsString> {
    let (public, admin) = (public.to_string(), admin.to_string());
    let options = [
        ("--bind", public.as_str()),
        ("--admin-bind", &admin),
        ("--health-bind", "127.0.0.1:0"),
        ("--data", "log"),
        ("--master-key", "master"),
        ("--rpc", rpc),
        ("--contract", contract),
        ("--operator-key", "operator"),
        ("--admin-token", "token"),
        ("--genesis", "genesis"),
        ("--spool", "spool"),
        ("--spool-key", "spool-key"),
        ("--proofs-at-once", "64"),
    ];
    let options = options.into_iter().flat_map(|(name, value)| [name, value]);
    ["sequencer"].into_iter().chain(options).map(Into::into).collect()
}

fn secret(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    secret_file::create(&path, content).with_context(|| path.display().to_string())
}

/// An address that nobody listens at, and that the sequencer has in all its lives. It is none of those that outgoing
/// connections take: one of these could have it while the sequencer is down.
fn free() -> anyhow::Result<SocketAddr> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let port = FIRST + u16::from_be_bytes(gridveil_keystore::random()?) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port from {FIRST} on");
}

/// In the provers' place: it answers every job at once with bytes that say nothing.
struct StandIn {
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StandIn {
    fn start(spool: &Path, key: &Path, bytes: usize) -> anyhow::Result<Self> {
        let spool = Spool::open(spool, SpoolKey::open_or_create(key)?, SpoolConfig::default())?;
        let ends = Arc::new(AtomicBool::new(false));
        let asked_to_end = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !asked_to_end.load(Ordering::Relaxed) {
                // A spool that cannot be read is tried again: the sequencer says that no prover takes its job.
                let Ok(Some(claim)) = spool.claim("stand-in") else {
                    std::thread::sleep(POLL);
                    continue;
                };
                let result = ProofResult {
                    job: claim.id,
                    batch: claim.job.batch,
                    shape: claim.job.shape.clone(),
                    circuit_version: claim.job.circuit_version,
                    srs: "none".to_owned(),
                    proof: vec![STAND_IN; bytes],
                    instance: Vec::new(),
                    timings: Timings::default(),
                    peak_rss_bytes: 0,
                };
                let _ = spool.finish(&claim, &result);
            }
        });
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The auditor's verifier where there are no proofs.
struct TakesStandIns {
    bytes: usize,
}

impl ProofVerifier for TakesStandIns {
    fn verify(&self, _: CircuitVersion, _: u32, _: &[Fr; 10], proof: &[u8]) -> Result<bool, VerifierError> {
        Ok(proof.len() == self.bytes && proof.iter().all(|byte| *byte == STAND_IN))
    }

    fn verify_certificate(&self, version: CircuitVersion, _: &[Fr; 9], _: &[u8]) -> Result<bool, VerifierError> {
        Err(VerifierError::Missing { version, shape: 0 })
    }
}
