//! The demonstration with everything in it: a local chain, the contract with its vault and verifiers, the sequencer
//! with its log and HTTP interface, the provers, 17 meters that keep their own keys and outboxes, and an auditor that
//! reads L1 alone.
//!
//! Nothing is there at the beginning: the state tree is empty, members enrol, deposits are taken in. `events` is what
//! happens besides settling, `leaving` the end.

mod events;
mod leaving;
mod totals;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use gridveil_api::beginning::Registered;
use gridveil_auditor::native::{NativeCertificates, NativeVerifier};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_cli::proofs::PoolProofs;
use gridveil_keystore::SealingKey;
use gridveil_meter_client::{
    device::Device,
    key_store::Keys,
    l1::JsonRpc,
    outbox::{Outbox, Period},
    packet::Draft,
    statement::{self, Asked, Own},
    submit::{Admin, Retry, Sequencer},
};
use gridveil_protocol::{
    certificate::ShownHolding,
    community::Community,
    field::{Fr, to_bytes},
    header::Header,
    note::Note,
    opening::PeriodOpening,
    operation::SignedOperation,
    owner::owner_of,
    packet::{Context, Packet, PacketSalts, Reading},
    params::{CIRCUIT_VERSION, Shape},
    receipt::Receipt,
    tariff::Tariff,
    units::{Interval, Nano},
    version::CircuitVersion,
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    pool::{PoolConfig, ProverPool},
    prover::{Prover, ProverConfig},
    srs::{Srs, SrsSource},
};
use gridveil_sequencer::{
    AdminToken, Config, GenesisState, Handle, batch, service::Service, store::log_state::SettledPeriod, tariffs,
};
use gridveil_verifier_contract::{
    ChainL1, EthersClient, OperatorL1,
    anvil::{Anvil, AnvilOptions, LOCAL_CHAIN_ID},
};
use tokio::runtime::Runtime;

use events::Shown;

use super::{
    backend::{Audit, Backend, Settled},
    deploy::{deploy_verified, shape},
    progress::Progress,
    scenario::{COMMUNITY, Day, NEIGHBOUR, Scenario, TARIFF_SET},
    summary::{DemoEvent, Summary},
};
use crate::{
    genesis::{self, Plan},
    packets,
};

/// The chain's clock starts this long before the first day: time to register everything, as tariffs must be, before
/// they begin.
const LEAD_S: u64 = 6 * 3600;
/// Longest wait for a batch to be proven and final.
const FINAL_WITHIN: Duration = Duration::from_secs(1800);
/// Everything that runs, and what members remember.
pub struct OnChain {
    cache: PathBuf,
    progress: Arc<Progress>,
    state: tempfile::TempDir,
    runtime: Runtime,
    running: Option<Running>,
    /// A wallet's prover.
    certificates: Option<CertificateProver>,
    /// By home and day.
    receipts: BTreeMap<(u16, usize), Receipt>,
    /// What each home's owner has signed.
    signed: BTreeMap<u16, Vec<SignedOperation>>,
    neighbour: Option<Receipt>,
    /// Paid to each home's address, smallest parts of the token.
    paid: BTreeMap<u16, u128>,
    shown: Vec<Shown>,
    /// What the operator opens to the auditor, and notes that holders show.
    openings: Vec<PeriodOpening>,
    held: Vec<ShownHolding>,
    handed: Option<Note>,
    late_deposit: Option<Fr>,
    forced: u64,
    corrected: u64,
    events: Vec<DemoEvent>,
}

struct Running {
    // Dropped in this order: nothing may outlive the chain it talks to.
    handle: Option<Handle>,
    l1: Arc<EthersClient>,
    sequencer: Sequencer,
    admin: Admin,
    roots: JsonRpc,
    domain: Fr,
    meters: Vec<Meter>,
    nodes: Vec<(u32, Fr)>,
    verifier_bytes: u64,
    anvil: Anvil,
}

/// One home's own side.
struct Meter {
    keys: Keys,
    device: Device,
    outbox: Outbox,
}

impl OnChain {
    fn publish_tariff(&self, communities: &[u32], first_interval: Interval, tariff: &Tariff) -> anyhow::Result<()> {
        let running = self.running()?;
        let service = running.handle.as_ref().context("stopped")?.service();
        self.runtime.block_on(async {
            running.l1.register_tariff(TARIFF_SET, first_interval.0, to_bytes(&tariff.commitment())).await?;
            for community in communities {
                let published = tariffs::publish(service, *community, first_interval, tariff.clone()).await;
                published.map_err(|problem| anyhow!("{problem}"))?;
            }
            Ok(())
        })
    }

    /// Nothing runs yet. Parameters and keys are kept in `cache`; everything else is gone at the end.
    ///
    /// # Errors
    /// No temporary directory, or no threads.
    pub fn new(cache: &Path, progress: Arc<Progress>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self {
            cache: cache.to_path_buf(),
            progress,
            state: tempfile::tempdir()?,
            runtime,
            running: None,
            certificates: None,
            receipts: BTreeMap::new(),
            signed: BTreeMap::new(),
            neighbour: None,
            paid: BTreeMap::new(),
            shown: Vec::new(),
            openings: Vec::new(),
            held: Vec::new(),
            handed: None,
            late_deposit: None,
            forced: 0,
            corrected: 0,
            events: Vec::new(),
        })
    }

    fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("not started")
    }

    fn prover(&self, shape: Shape) -> anyhow::Result<Prover> {
        let config = ProverConfig {
            cache_dir: self.cache.clone(),
            srs: SrsSource::InsecureDev,
            chain_id: LOCAL_CHAIN_ID,
            version: CircuitVersion::CURRENT,
            shapes: vec![shape],
            threads: None,
            domain: None,
        };
        Ok(Prover::<SettlementCircuit>::open(&config, self.progress.as_ref())?)
    }

    async fn serve(
        state: &Path,
        communities: &[Community],
        l1: Arc<EthersClient>,
        prover: Prover,
        token: &str,
    ) -> anyhow::Result<Handle> {
        let master = state.join("master.key");
        gridveil_sequencer::create_master_key(&master)?;
        let mut config = Config::new(state.join("sequencer"), master, AdminToken::new(token)?);
        config.genesis = Some(GenesisState {
            chain_id: LOCAL_CHAIN_ID,
            contract: l1.contract(),
            circuit_version: CIRCUIT_VERSION,
            communities: communities.to_vec(),
            other_leaves: Vec::new(),
            begins: communities.iter().map(|community| community.index).collect(),
        });
        let pool = ProverPool::start(Arc::new(prover), PoolConfig { queue: 8, workers: 1, attempts: 1 })?;
        Ok(gridveil_sequencer::serve(config, l1, Arc::new(PoolProofs::new(pool))).await?)
    }

    fn meters(&self, scenario: &Scenario) -> anyhow::Result<Vec<Meter>> {
        let one = |home: &u16| {
            let keys = Keys::of(genesis::owner_key(*home), SealingKey::generate()?);
            let device = Device::of(genesis::meter_key(*home));
            let outbox = Outbox::open(&self.state.path().join(format!("meter-{home}")), &keys)?;
            anyhow::Ok(Meter { keys, device, outbox })
        };
        scenario.plan.homes.iter().map(one).collect()
    }
}

/// A community before anybody is in it.
fn empty(scenario: &Scenario, index: u32) -> Community {
    Registered { index, first_interval: scenario.beginning, ..scenario.plan.registered() }.empty()
}

/// What a home's meter says of a day.
fn draft(domain: Fr, day: &Day, plan: &Plan, slot: usize, readings: Vec<Reading>) -> anyhow::Result<Draft> {
    let home = plan.homes.get(slot).context("no such home")?;
    let limits = Scenario::limits(*home, day.number);
    let context = context(domain, plan, day)?;
    Ok(Draft {
        context,
        slot: u16::try_from(slot)?,
        readings,
        buy_limit: limits.buy,
        sell_limit: limits.sell,
        scale: 1,
    })
}

/// Waits until L1 has settled a period, and what it came to.
async fn final_on_l1(
    service: &Service,
    community: u32,
    first_interval: Interval,
) -> anyhow::Result<(SettledPeriod, Header)> {
    let deadline = Instant::now() + FINAL_WITHIN;
    loop {
        if let Some(reason) = service.health.stopped() {
            anyhow::bail!("the sequencer stopped: {reason}");
        }
        anyhow::ensure!(Instant::now() < deadline, "not final within {} s", FINAL_WITHIN.as_secs());
        let found = {
            let snapshot = service.writer.snapshot();
            let log_state = snapshot.log_state.communities.get(&community);
            let settled =
                log_state.and_then(|b| b.settled.iter().find(|s| s.first_interval == first_interval).cloned());
            settled.zip(snapshot.communities.get(&community).map(|c| c.header.clone()))
        };
        match found {
            Some(found) => return Ok(found),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Smallest parts of the token as nano-currency.
fn token_nano(parts: u128) -> Nano {
    Nano(i128::try_from(parts * 1000).unwrap_or(i128::MAX))
}

fn context(domain: Fr, plan: &Plan, day: &Day) -> anyhow::Result<Context> {
    Ok(Context {
        domain,
        community: COMMUNITY,
        first_interval: day.first_interval,
        interval_length: plan.interval_length,
        intervals: u16::try_from(plan.shape.intervals)?,
    })
}

impl Backend for OnChain {
    fn start(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let prover = self.prover(shape()?)?;
        let wallet =
            CertificateProver::open(&CertificateProverConfig::local(self.cache.clone()), self.progress.as_ref())?;
        self.progress.say("starting the local chain and deploying");
        let communities = [empty(scenario, COMMUNITY), empty(scenario, NEIGHBOUR)];
        let starts = scenario.beginning.start(scenario.plan.interval_length);
        let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(starts - LEAD_S), ..AnvilOptions::default() })?;
        let (l1, verifier_bytes) =
            self.runtime.block_on(deploy_verified(&anvil.url(), &communities, &prover, &wallet))?;
        let l1 = Arc::new(l1);
        self.progress.say("starting the sequencer");
        let token: [u8; 16] = gridveil_keystore::random()?;
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let handle =
            self.runtime.block_on(Self::serve(self.state.path(), &communities, Arc::clone(&l1), prover, &token))?;
        let admin = Admin::new(&format!("http://{}", handle.admin_address()), &token, Retry::default())?;
        let sequencer = Sequencer::new(&format!("http://{}", handle.public_address()), Retry::default())?;
        let domain = sequencer.domain()?;
        let meters = self.meters(scenario)?;
        let roots = JsonRpc::new(&anvil.url(), l1.contract())?;
        self.certificates = Some(wallet);
        // The auditor is told of no community: all of them begin on L1.
        self.running = Some(Running {
            handle: Some(handle),
            l1,
            sequencer,
            admin,
            roots,
            domain,
            meters,
            nodes: Vec::new(),
            verifier_bytes,
            anvil,
        });
        self.publish_tariff(&[COMMUNITY, NEIGHBOUR], scenario.beginning, &scenario.beginning_tariff)
    }

    fn begin(&mut self, scenario: &Scenario) -> anyhow::Result<u64> {
        self.beginnings(scenario)
    }

    fn publish(&mut self, _: &Scenario, day: &Day) -> anyhow::Result<()> {
        self.publish_tariff(&[COMMUNITY], day.first_interval, &day.tariff)
    }

    fn deliver(&mut self, scenario: &Scenario, day: &Day, slot: usize) -> anyhow::Result<()> {
        let running = self.running()?;
        let plan = &scenario.plan;
        let (home, settled) = plan.homes.get(slot).zip(day.homes.get(slot)).context("no such home")?;
        let number = u16::try_from(slot)?;
        if settled.substituted {
            let salts = PacketSalts::from_random(&gridveil_keystore::random()?);
            let (context, limits) = (context(running.domain, plan, day)?, Scenario::limits(*home, day.number));
            // Asked of the operator, as the meter data manager would.
            let service = running.handle.as_ref().context("stopped")?.service();
            let open =
                batch::open_period(&service.writer.snapshot(), COMMUNITY).map_err(|problem| anyhow!("{problem}"))?;
            let previous_substitute =
                open.missing.iter().find(|m| m.slot == number).context("no packet is missing")?.previous_substitute;
            let packet =
                Packet { previous_substitute, ..packets::packet(context, number, limits, settled.clone(), salts) }
                    .sign(&genesis::mdm_key())?;
            running.sequencer.submit(&packet)?;
            return Ok(());
        }
        let meter = running.meters.get(slot).context("no such meter")?;
        let signed = meter
            .outbox
            .sign_once(draft(running.domain, day, plan, slot, settled.readings.clone())?, meter.device.secret())?;
        let taken = running.sequencer.submit(&signed)?;
        let period =
            Period { domain: running.domain, community: COMMUNITY, slot: number, first_interval: day.first_interval };
        Ok(meter.outbox.mark_delivered(&period, taken)?)
    }

    fn settle(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<Settled> {
        self.before(scenario, day)?;
        let running = self.running()?;
        let plan = &scenario.plan;
        let service = running.handle.as_ref().context("stopped")?.service();
        let ends = (day.first_interval + u32::try_from(plan.shape.intervals)?).start(plan.interval_length);
        let settled = self.runtime.block_on(async {
            running.l1.set_local_time(ends).await?;
            let applied =
                batch::close(service, COMMUNITY, day.first_interval).await.map_err(|problem| anyhow!("{problem}"))?;
            self.progress.say(&format!("{}: proving", day.date));
            let (settled, header) = final_on_l1(service, COMMUNITY, day.first_interval).await?;
            let on_l1 = running.l1.state_root().await?;
            anyhow::ensure!(on_l1 == to_bytes(&applied.new_root), "L1 has another state root than the sequencer");
            let pool_nano = Nano::from(running.l1.pool_nano().await?);
            Ok(Settled {
                root: applied.new_root,
                header,
                proving_ms: Some(settled.prove_ms),
                gas: settled.record.gas_used,
                pool_nano,
            })
        })?;
        Ok(settled)
    }

    fn receipt(&mut self, scenario: &Scenario, day: &Day, slot: usize) -> anyhow::Result<Receipt> {
        let home = *scenario.plan.homes.get(slot).context("no such home")?;
        let running = self.running()?;
        let meter = running.meters.get(slot).context("no such meter")?;
        let number = u16::try_from(slot)?;
        let asked = Asked { community: COMMUNITY, slot: number, first_interval: day.first_interval };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let receipt = running.sequencer.receipt(&asked.request(running.domain, now, &meter.keys.owner)?)?;
        let tariff = running.sequencer.tariff(COMMUNITY, day.first_interval)?;
        let period =
            |first_interval| Period { domain: running.domain, community: COMMUNITY, slot: number, first_interval };
        let this = period(day.first_interval);
        let before = day.first_interval.checked_sub(u32::try_from(day.tariff.intervals.len())?).unwrap_or_default();
        let (packet, previous) = (meter.outbox.packet(&this)?, meter.outbox.receipt(&period(before))?);
        let own = Own {
            domain: running.domain,
            owner: &owner_of(&meter.keys.owner),
            operations: self.signed.get(&home).map_or(&[], Vec::as_slice),
            packet: packet.as_ref(),
            delivered: meter.outbox.is_delivered(&this)?,
            previous: previous.as_ref(),
        };
        let statement = statement::verify(&asked, &receipt, &own, &tariff, &running.roots)?;
        meter.outbox.keep_receipt(&this, &receipt)?;
        self.receipts.insert((home, day.number), receipt.clone());
        if let Some(correction) = statement.correction {
            self.booked(scenario, day, home, correction.first_interval);
        }
        if slot + 1 == scenario.plan.homes.len() {
            self.after(scenario, day)?;
        }
        Ok(receipt)
    }

    fn leave(&mut self, scenario: &Scenario, summary: &mut Summary) -> anyhow::Result<()> {
        self.end(scenario, summary)
    }

    fn audit(&mut self) -> anyhow::Result<Option<Audit>> {
        let running = self.running()?;
        let shape = shape()?;
        // Its own parameters, its own keys from the circuit, its own view of the chain, without a key.
        let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &self.cache)?;
        let mut verifier = NativeVerifier::default();
        verifier.add(CircuitVersion::CURRENT, shape, srs.params(shape.k, self.progress.as_ref())?)?;
        let params = srs.params(NativeCertificates::K, self.progress.as_ref())?;
        let verifier = verifier.with_certificates(NativeCertificates::new(params)?);
        self.progress.say("auditing from L1 alone");
        let l1 =
            self.runtime.block_on(EthersClient::connect(&running.anvil.url(), None, Some(running.l1.contract())))?;
        let report = self.runtime.block_on(gridveil_auditor::audit(&l1, &verifier, &running.nodes, 0))?;
        if let Some(failure) = report.failures.first() {
            anyhow::bail!("{}: {} ({} findings)", failure.clause, failure.what, report.failures.len());
        }
        if let Some(unverified) = report.unverified.first() {
            anyhow::bail!("block {}: {}", unverified.block, unverified.what);
        }
        anyhow::ensure!(
            report.proofs_verified == report.batches,
            "{} proofs of {} batches",
            report.proofs_verified,
            report.batches
        );
        self.progress.say("checking the opened totals");
        let totals = self.check_totals(&l1, &srs)?;
        Ok(Some(Audit { batches: report.batches, root: report.state_root, totals }))
    }

    fn verifier_bytes(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.verifier_bytes)
    }
}

impl Drop for OnChain {
    fn drop(&mut self) {
        if let Some(handle) = self.running.as_mut().and_then(|running| running.handle.take()) {
            self.runtime.block_on(handle.shutdown());
        }
    }
}
