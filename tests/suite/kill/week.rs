//! A community whose periods go on and on: clients that send packets, operations, newcomers and closings, whatever becomes of
//! the sequencer, and remember what was acknowledged. In the end everything is on L1, once, and the auditor has no finding.

use super::*;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use gridveil_api::{
    admin::{ClosedPeriod, Status, Step},
    beginning::Beginning,
    public::OperationState,
};
use gridveil_auditor::native::NativeVerifier;
use gridveil_meter_client::submit;
use gridveil_protocol::{
    fixture::Stream,
    init,
    operation::{Kind, Operation, SignedOperation},
    packet::Reading,
    units::Interval,
    version::CircuitVersion,
};
use gridveil_prover::{
    progress::Silent,
    srs::{Srs, SrsSource},
};
use gridveil_verifier_contract::{CommunityParams, anvil::LOCAL_CHAIN_ID};

use crate::common::process::wait;

/// Closed periods that are not settled yet; with more, the next one waits for the provers.
const AHEAD: u64 = 4;
/// L1's clock is so many periods ahead: every period of the test is over.
const PERIODS: u32 = 4000;
/// Communities that may join, registered before.
pub const NEWCOMERS: u32 = 30;
/// Patience with a sequencer whose answers are not lost.
const ONCE: Retry = Retry { attempts: 1, first_pause: Duration::from_millis(10), timeout: Duration::from_secs(30) };

/// What a text says of chance.
pub fn dice(purpose: &str) -> (String, Stream) {
    let seed = std::env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(format!("{purpose} {seed}").as_bytes()).as_bytes()[..8]);
    (format!("GRIDVEIL_FUZZ_SEED={seed:?}"), Stream::new(u64::from_be_bytes(first)))
}

/// A number of the environment.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// The homes and their operator, and everything that was acknowledged to them.
pub struct Clients<'a> {
    world: &'a World,
    domain: Fr,
    dice: Stream,
    /// Number of the open period.
    period: u32,
    /// Packets of every period so far, by slot.
    packets: Vec<Vec<SignedPacket>>,
    /// Which of them were acknowledged.
    taken: Vec<[bool; HOMES]>,
    /// Answers to closings.
    closed: Vec<ClosedPeriod>,
    operations: Vec<SignedOperation>,
    /// Signed, and sent until it is acknowledged.
    operation: Option<SignedOperation>,
    nonces: [u32; HOMES],
    newcomers: u32,
    /// Answers 429 and 503.
    pub turned_away: u64,
    /// Time that each packet took to be acknowledged, once it was sent for the last time.
    pub waits: Vec<Duration>,
    /// What a household has of closed periods.
    pub kept: Arc<Mutex<Kept>>,
    height: u64,
}

/// Packets of closed periods, and operations.
#[derive(Default)]
pub struct Kept {
    pub packets: Vec<SignedPacket>,
    pub operations: Vec<SignedOperation>,
}

/// Everything of a client at one sequencer's process.
pub struct Line {
    pub public: Sequencer,
    pub admin: submit::Admin,
}

impl Line {
    pub fn of(operator: &Operator) -> Self {
        let base = format!("http://{}", operator.admin);
        let public = Sequencer::new(&operator.url, ONCE).unwrap();
        Self { public, admin: submit::Admin::new(&base, &operator.token, ONCE).unwrap() }
    }
}

/// The sequencer does not answer.
pub struct Away;

impl<'a> Clients<'a> {
    /// Registers everything that the test needs on L1, starts the sequencer once, and publishes the tariff.
    pub fn new(world: &'a World, dice: Stream) -> Self {
        let (plan, day) = (&world.plan, &world.day);
        world.runtime.block_on(async {
            for newcomer in 1..=NEWCOMERS {
                let header = beginning(world, newcomer).registered().unwrap().empty().header;
                let params = CommunityParams {
                    community: newcomer,
                    shape: plan.shape.id,
                    interval_length_s: plan.interval_length,
                    m: u16::try_from(plan.shape.intervals).unwrap(),
                    tariff_set: TARIFF_SET,
                    genesis_terms: to_bytes(&init::genesis_terms(&header)),
                };
                world.l1.register_community(params).await.unwrap();
            }
            let last = first(world, PERIODS).start(plan.interval_length);
            world.l1.set_local_time(last).await.unwrap();
        });
        let operator = world.sequencer();
        let domain = operator.public.domain().unwrap();
        let tariff = json!({"first_interval": day.first_interval, "tariff": day.tariff});
        operator.ask("POST", &format!("/admin/v1/communities/{}/tariffs", plan.index), &tariff);
        operator.stop();
        Self {
            world,
            domain,
            dice,
            period: 0,
            packets: Vec::new(),
            taken: Vec::new(),
            closed: Vec::new(),
            operations: Vec::new(),
            operation: None,
            nonces: [0; HOMES],
            newcomers: 0,
            turned_away: 0,
            waits: Vec::new(),
            kept: Arc::default(),
            height: 0,
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.taken.iter().flatten().filter(|taken| **taken).count() + self.operations.len() + self.closed.len()
    }

    pub fn periods(&self) -> usize {
        self.closed.len()
    }

    /// Sends what comes next, until `ends` or the sequencer is gone.
    pub fn go_on(&mut self, line: &Line, ends: impl Fn(&Self) -> bool) -> Result<(), Away> {
        while !ends(self) {
            self.step(line)?;
        }
        Ok(())
    }

    fn step(&mut self, line: &Line) -> Result<(), Away> {
        let period = usize::try_from(self.period).unwrap();
        if self.packets.len() <= period {
            let packets = (0..HOMES).map(|slot| self.packet(slot)).collect();
            self.packets.push(packets);
            self.taken.push([false; HOMES]);
            let slot = self.below(HOMES);
            self.operation = Some(self.another_payout(slot));
        }
        let open: Vec<usize> = (0..HOMES).filter(|slot| !self.taken[period][*slot]).collect();
        if !open.is_empty() {
            let slot = open[self.below(open.len())];
            let start = Instant::now();
            if self.heard(line.public.submit(&self.packets[period][slot]))?.is_some() {
                self.taken[period][slot] = true;
                self.waits.push(start.elapsed());
            }
        } else if let Some(operation) = &self.operation {
            let answer = line.public.operate(operation);
            if self.heard(answer)?.is_some() {
                self.kept.lock().unwrap().operations.extend(self.operation.clone());
                self.operations.extend(self.operation.take());
            }
        } else if self.closed.len() as u64 >= self.settled(line)? + AHEAD {
            std::thread::sleep(Duration::from_millis(20));
        } else {
            let answer = line.admin.close(self.world.plan.index, first(self.world, self.period));
            if let Some(closed) = self.heard(answer)? {
                self.closed.push(closed);
                self.kept.lock().unwrap().packets.extend(self.packets[period].iter().cloned());
                self.period += 1;
            }
        }
        Ok(())
    }

    /// One community more; its keys have a file of their own.
    pub fn newcomer(&mut self, line: &Line) -> Result<(), Away> {
        if self.newcomers < NEWCOMERS {
            let answer = line.admin.serve(&beginning(self.world, self.newcomers + 1));
            self.newcomers += u32::from(self.heard(answer)?.is_some());
        }
        Ok(())
    }

    fn settled(&mut self, line: &Line) -> Result<u64, Away> {
        if let Some(status) = self.heard(line.admin.status())? {
            assert!(status.stopped.is_none(), "the pipeline stopped: {:?}", status.stopped);
        }
        Ok(self.world.batches())
    }

    /// An answer; `None` where it is to be asked again. Nothing else is an answer.
    fn heard<T>(&mut self, answer: Result<T, ApiError>) -> Result<Option<T>, Away> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(ApiError::Unavailable { .. }) => {
                self.turned_away += 1;
                std::thread::sleep(Duration::from_millis(50));
                Ok(None)
            }
            Err(ApiError::Unreachable { .. }) => Err(Away),
            Err(error) => panic!("period {}: {error}", self.period),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).unwrap()
    }

    /// A packet of the open period: little energy, so that nobody's money ends.
    fn packet(&mut self, slot: usize) -> SignedPacket {
        let (world, plan) = (self.world, &self.world.plan);
        let signed = world.packet(self.domain, slot);
        let mut packet = signed.packet;
        packet.context.first_interval = first(world, self.period);
        for reading in &mut packet.readings {
            let wh = |stream: &mut Stream| u16::try_from(stream.below(12)).unwrap();
            *reading = Reading { import: wh(&mut self.dice), export: wh(&mut self.dice) };
        }
        packet.salts = PublicStream::new("salts of a week", u64::from(self.period) << 16 | slot as u64).packet_salts();
        packet.sign(&genesis::meter_key(plan.homes[slot])).unwrap()
    }

    /// Somebody wants to be paid elsewhere, and stays who it is.
    fn another_payout(&mut self, slot: usize) -> SignedOperation {
        let nonce = self.nonces[slot];
        self.nonces[slot] += 1;
        let owner = genesis::owner_key(self.world.plan.homes[slot]);
        let mut operation = Operation::new(Kind::Rotate, self.world.plan.index, u16::try_from(slot).unwrap(), nonce);
        (operation.party, operation.payout) =
            (owner_of(&owner).commitment(), [u8::try_from(nonce % 200).unwrap() + 1; 20]);
        operation.sign(self.domain, &owner, owner_of(&owner)).unwrap()
    }

    /// After a start: what was acknowledged is there, once.
    pub fn recheck(&mut self, line: &Line) {
        let status = line.admin.status().unwrap();
        assert!(status.stopped.is_none(), "the pipeline stopped: {:?}", status.stopped);
        assert!(status.log_height >= self.height, "{} records of {}", status.log_height, self.height);
        self.height = status.log_height;
        let open = status.community(self.world.plan.index).unwrap().next_interval;
        let ours = [first(self.world, self.period), first(self.world, self.period + 1)];
        assert!(ours.contains(&open), "the open period is {open:?}, and {ours:?} was acknowledged");
        assert!(status.communities.len() > usize::try_from(self.newcomers).unwrap());
        // All of the last two periods, and one of any before.
        let mut periods: Vec<usize> = (self.packets.len().saturating_sub(2)..self.packets.len()).collect();
        periods.extend((self.packets.len() > 2).then(|| self.below(self.packets.len())));
        for period in periods {
            for slot in (0..HOMES).filter(|slot| self.taken[period][*slot]) {
                let taken = line.public.submit(&self.packets[period][slot]).unwrap();
                assert_eq!(taken, Taken::Duplicate, "period {period}, slot {slot} was acknowledged before");
            }
        }
        for operation in self.operations.iter().rev().take(4) {
            line.public.operation_state(operation).unwrap();
        }
        if let Some(last) = self.closed.last() {
            assert_eq!(line.admin.close(last.community, last.first_interval).unwrap(), *last, "closed is closed");
        }
    }

    /// Everything that was acknowledged is settled; every operation is applied once. The sequencer goes.
    pub fn until_all_is_settled(&mut self, operator: Operator) {
        let line = Line::of(&operator);
        self.recheck(&line);
        // The period that was begun comes to its end.
        let last = self.period;
        assert!(self.go_on(&line, |clients| clients.period > last || clients.packets.len() <= last as usize).is_ok());
        let all = self.closed.len();
        let settled = |status: &Status| {
            let batches = &status.community(self.world.plan.index).unwrap().batches;
            batches.last().is_some_and(|last| last.batch == all as u64 && matches!(last.step, Step::Settled { .. }))
        };
        wait(
            "everything is settled",
            PROVEN,
            || operator.process.said(),
            || {
                let status = line.admin.status().unwrap();
                assert!(status.stopped.is_none(), "{:?}", status.stopped);
                settled(&status).then_some(())
            },
        );
        for operation in &self.operations {
            let state = line.public.operation_state(operation).unwrap();
            assert!(matches!(state, OperationState::Applied { settled: true, .. }), "{state:?}");
        }
        operator.stop();
    }

    /// L1 has every period once, and it is what the rules make of what was acknowledged; the auditor has no finding.
    pub fn account(&self) {
        let (world, all) = (self.world, self.closed.len());
        let settled = world.runtime.block_on(world.l1.settled_batches(0)).unwrap();
        let root = world.runtime.block_on(world.l1.state_root()).unwrap();
        assert_eq!((settled.len(), world.batches()), (all, all as u64));
        let opened = world.open(&world.at("log"));
        assert!(opened.log_state.batches.is_empty(), "nothing waits");
        let mut ledger = Ledger::new(self.domain, [world.plan.community().unwrap()]);
        let mut operations = BTreeMap::new();
        for (period, closed) in self.closed.iter().enumerate() {
            let current = &opened.communities[&world.plan.index];
            let input = opened.store.reader().transition(self.domain, closed.batch, current).unwrap().input.clone();
            assert_eq!(input.community.header.next_interval, closed.first_interval);
            assert!(input.packets[..HOMES] == self.packets[period][..], "period {period}: packets as they were signed");
            for operation in &input.operations.slots {
                *operations.entry((operation.operation.slot, operation.operation.nonce)).or_insert(0) += 1;
            }
            let packets = self.packets[period].iter().chain(&input.packets[HOMES..]).cloned().collect();
            ledger.settle(closed.community, packets, input.tariff, input.header_salts, input.operations).unwrap();
            assert_eq!(ledger.root(), closed.new_root, "period {period}");
        }
        assert_eq!(to_bytes(&ledger.root()), root, "the native rules end at another root");
        assert_eq!(operations.len(), self.operations.len(), "every operation that was acknowledged");
        assert!(operations.values().all(|times| *times == 1), "no operation twice");

        let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &cache()).unwrap();
        let mut verifier = NativeVerifier::default();
        let shape = world.plan.shape;
        verifier.add(CircuitVersion::CURRENT, shape, srs.params(shape.k, &Silent).unwrap()).unwrap();
        let nodes = [(world.plan.index, world.plan.community().unwrap().node())];
        let l1 = world.runtime.block_on(EthersClient::connect(&world.anvil.url(), None, Some(world.l1.contract())));
        let report = world.runtime.block_on(gridveil_auditor::audit(&l1.unwrap(), &verifier, &nodes, 0)).unwrap();
        assert!(report.failures.is_empty() && report.unverified.is_empty(), "{:?}", report.failures);
        assert_eq!((report.proofs_verified, to_bytes(&report.state_root)), (all as u64, root));
    }
}

/// First interval of a period, by number.
pub fn first(world: &World, period: u32) -> Interval {
    world.day.first_interval + period * u32::try_from(world.plan.shape.intervals).unwrap()
}

fn beginning(world: &World, community: u32) -> Beginning {
    let plan = &world.plan;
    Beginning {
        community,
        shape: plan.shape.name.to_owned(),
        mechanism: plan.mechanism,
        interval_length: plan.interval_length,
        first_interval: first(world, PERIODS),
        mdm: gridveil_protocol::hex::hex0(plan.mdm.to_bytes()),
    }
}

/// Says how far a test is.
pub fn teller() -> impl Fn(&str) {
    let start = Instant::now();
    move |what| println!("{:6.1} s {what}", start.elapsed().as_secs_f64())
}
