//! The sequencer in a process of its own: the product's own service with its listeners, its log and its index. Only L1 is in
//! memory, so that no chain takes from the processors that are measured.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use gridveil_protocol::{field::to_bytes, init, instance, params::Shape};
use gridveil_prover::spool::{Spool, SpoolConfig, SpoolKey, SpoolState};
use gridveil_proving_api::{BoxFuture, ProofError, ProofJob, ProofSource};
use gridveil_sequencer::{AdminToken, Config, create_master_key, serve};
use gridveil_verifier_contract::{
    CommunityParams, OperatorL1 as _,
    memory::{MemoryL1, MemoryL1Config},
};
use serde::{Deserialize, Serialize};

use super::packets::{self, CHAIN, CONTRACT};
use crate::scale::city::City;

/// Token of the operator's listener.
pub(super) const TOKEN: &str = "a token of the measurement";
/// The one set of tariffs.
const SET: u32 = 1;
/// More than any genesis has.
const POOL_NANO: u64 = 1 << 62;
/// Jobs with provers at once.
const PROVING: usize = 64;
/// Length of a stand-in's proof.
const STAND_IN_BYTES: usize = 4512;
/// Between two lines of figures.
const EVERY: Duration = Duration::from_millis(500);
/// Between looks at the spool.
const LOOK: Duration = Duration::from_millis(100);

/// What a sequencer's process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub dir: PathBuf,
    pub homes: u32,
    pub shape: String,
    pub seed: u32,
    /// Proofs by a prover behind the spool; otherwise a stand-in answers at once, and periods close by themselves.
    pub real: bool,
}

impl Task {
    /// The city.
    pub(super) fn city(&self) -> anyhow::Result<City> {
        let shape = Shape::by_name(&self.shape).with_context(|| format!("no shape {}", self.shape))?;
        Ok(City { homes: self.homes, shape, seed: self.seed })
    }
}

/// Where it listens: the first line that it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Listens {
    pub public: String,
    pub admin: String,
    pub health: String,
}

/// How far it is: every later line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Groups of decisions, each with one sync if it wrote anything.
    pub groups: u64,
    /// Records in the log.
    pub height: u64,
    /// Batches settled on L1.
    pub settled: u64,
    /// Batches applied and not settled.
    pub waiting: u64,
}

pub(super) fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

pub(super) fn master(dir: &Path) -> PathBuf {
    dir.join("master")
}

/// A proof at once.
struct StandIn;

impl ProofSource for StandIn {
    fn prove(&self, _: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        Box::pin(async { Ok(vec![0x5a; STAND_IN_BYTES]) })
    }
}

/// Proofs by a process behind a spool.
struct Behind(Spool);

impl ProofSource for Behind {
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        Box::pin(async move {
            let told = |error: gridveil_prover::spool::SpoolError| ProofError::Unavailable(error.to_string());
            let id = self.0.submit(&job).map_err(told)?;
            loop {
                if let Some(result) = self.0.result(id).map_err(told)? {
                    self.0.forget(id).map_err(told)?;
                    return Ok(result.proof);
                }
                if let SpoolState::Poisoned(why) = self.0.state(id).map_err(told)? {
                    return Err(ProofError::Failed(why));
                }
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

async fn l1(city: &City, genesis_root: [u8; 32], headers: &[(u32, [u8; 32])]) -> anyhow::Result<MemoryL1> {
    let l1 = MemoryL1::new(MemoryL1Config {
        chain_id: CHAIN,
        contract: CONTRACT,
        genesis_root,
        timestamp: 4_000_000_000,
        circuit_version: u32::try_from(gridveil_protocol::params::CIRCUIT_VERSION)?,
        shapes: vec![(city.shape.id, u32::try_from(city.shape.members)?, u16::try_from(city.shape.intervals)?)],
        proof_length: None,
        enforce_future_tariffs: false,
        ..MemoryL1Config::default()
    });
    l1.put_pool(POOL_NANO);
    let m = u16::try_from(city.shape.intervals)?;
    l1.open_tariff_set(SET, city.interval_length(), m).await?;
    for (community, genesis_terms) in headers {
        l1.register_community(CommunityParams {
            community: *community,
            shape: city.shape.id,
            interval_length_s: city.interval_length(),
            m,
            tariff_set: SET,
            genesis_terms: *genesis_terms,
        })
        .await?;
    }
    let commitment = to_bytes(&city.tariff().commitment());
    l1.register_tariff(SET, packets::first_interval(city, 0).0, commitment).await?;
    Ok(l1)
}

/// The body of the process: serves until it is killed, and says how far it is.
pub(crate) fn child(task: &Task) -> anyhow::Result<()> {
    let city = task.city()?;
    let genesis = packets::genesis(&city)?;
    anyhow::ensure!(instance::domain(CHAIN, &CONTRACT, genesis.circuit_version) == packets::the_domain(), "a domain");
    let terms = |community: &gridveil_protocol::community::Community| {
        (community.index, to_bytes(&init::genesis_terms(&community.header)))
    };
    let headers: Vec<_> = genesis.communities.iter().map(terms).collect();
    create_master_key(&master(&task.dir))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let l1 = Arc::new(l1(&city, to_bytes(&genesis.public().root), &headers).await?);
        let mut config = Config::new(data(&task.dir), master(&task.dir), AdminToken::new(TOKEN)?);
        config.genesis = Some(genesis);
        (config.auto_close, config.auto_close_every) = (!task.real, Duration::from_millis(500));
        (config.watch_every, config.l1_head_age) = (Duration::from_millis(500), None);
        (config.proving, config.settling) = (PROVING, 3);
        let proofs: Arc<dyn ProofSource> = if task.real {
            let key = SpoolKey::open_or_create(&task.dir.join("key"))?;
            Arc::new(Behind(Spool::open(&task.dir.join("spool"), key, SpoolConfig::default())?))
        } else {
            Arc::new(StandIn)
        };
        let handle = serve(config, l1, proofs).await?;
        let service = Arc::clone(handle.service());
        let mut changes = service.writer.changes();
        let listens = Listens {
            public: handle.public_address().to_string(),
            admin: handle.admin_address().to_string(),
            health: handle.health_address().to_string(),
        };
        say(&listens)?;
        loop {
            tokio::time::sleep(EVERY).await;
            let groups = *changes.borrow_and_update();
            let (height, waiting) = {
                let snapshot = service.writer.snapshot();
                (snapshot.height, snapshot.log_state.batches.len() as u64)
            };
            let settled = service.metrics.settled.get();
            say(&Figures { groups, height, settled, waiting })?;
        }
    })
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}
