//! The native pipeline of one day, timed step by step. One community after another: nothing of the one before is kept
//! but the state tree.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use gridveil_circuits::{field::imported, settlement::SettlementCircuit};
use gridveil_protocol::{
    codec::{decode_packet, encode_packet, packet_id},
    fixture::{Stream, mdm_key},
    instance::domain,
    operation_slots::Operations,
    packet::{PacketSalts, SignedPacket, check_packet, empty_slot},
    params::{CIRCUIT_VERSION, STATE_DEPTH},
    settlement::{SettlementInput, Transition, check_input, check_outcome, clear_all, compute_with},
    tree::SparseTree,
    units::Wh,
};
use gridveil_prover::measure::cpu_time;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::city::{City, Home, Profiles};

/// One timed step, in the order of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A meter signs its packet.
    Sign,
    /// A meter encodes its packet.
    Encode,
    /// The sequencer decodes a packet and checks it and its signature, as on admission.
    Admit,
    /// The sequencer seals, appends and syncs what it must not lose.
    Log,
    /// The sequencer fills empty slots and checks the settlement's input (all signatures again): the first part of
    /// `apply`.
    Check,
    /// The sequencer clears the market of every interval: the second part of `apply`.
    Clear,
    /// The sequencer computes the state after, its hashes, and checks the outcome: the rest of `apply`.
    Transition,
    /// The prover builds the circuit's table.
    Witness,
    /// The prover makes and checks the proof, its own transition and table included.
    Prove,
}

/// Time spent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Wall clock, s.
    pub wall_s: f64,
    /// Processor, all threads of the process, s.
    pub cpu_s: f64,
}

/// What the run of a city, or of a sample of it, came to.
#[derive(Debug, Default)]
pub struct Run {
    /// By step.
    pub costs: BTreeMap<Step, Cost>,
    /// Communities.
    pub communities: u32,
    /// Homes.
    pub homes: u32,
    /// Bytes of all encoded packets.
    pub packet_bytes: u64,
    /// Energy from the network, fed in and traded locally, Wh.
    pub energy: [Wh; 3],
}

impl Run {
    fn timed<T>(&mut self, step: Step, work: impl FnOnce() -> T) -> T {
        let (cpu, start) = (cpu_time(), Instant::now());
        let result = work();
        let (wall, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
        self.spend(step, wall, cpu);
        result
    }

    fn spend(&mut self, step: Step, wall: Duration, cpu: Duration) {
        let cost = self.costs.entry(step).or_default();
        cost.wall_s += wall.as_secs_f64();
        cost.cpu_s += cpu.as_secs_f64();
    }

    /// Cost of a step.
    #[must_use]
    pub fn cost(&self, step: Step) -> Cost {
        self.costs.get(&step).copied().unwrap_or_default()
    }
}

/// A day of a city under way.
#[derive(Debug)]
pub struct Day<'a> {
    city: City,
    profiles: &'a Profiles,
    state: SparseTree,
    /// What it cost so far.
    pub run: Run,
}

impl<'a> Day<'a> {
    /// Nothing settled yet.
    #[must_use]
    pub fn new(city: City, profiles: &'a Profiles) -> Self {
        Self { city, profiles, state: SparseTree::new(STATE_DEPTH), run: Run::default() }
    }

    /// Runs one community's day.
    ///
    /// # Errors
    /// A packet or a settlement that the rules refuse, or a table that disagrees with them: a defect of the simulation.
    pub fn settle(&mut self, index: u32) -> anyhow::Result<()> {
        let transition = self.settle_natively(index)?;
        let circuit = self.run.timed(Step::Witness, || SettlementCircuit::new(&transition));
        let rows: Vec<_> = transition.instance.rows().iter().map(imported).collect();
        ensure!(circuit.instance() == rows, "the circuit's public inputs are not those of the rules");
        Ok(())
    }

    /// Everything up to the prover. Admission and signing use every thread, as meters and request handlers do; closings
    /// come one after another on one thread, as in the sequencer.
    fn settle_natively(&mut self, index: u32) -> anyhow::Result<Transition> {
        let homes = self.city.members(self.profiles, index);
        let mut input = self.opened(index, &homes)?;
        let packets = self.admitted(&homes, &input)?;
        let context = input.context();
        let empty = (homes.len()..self.city.shape.members).map(|slot| u16::try_from(slot).unwrap_or(u16::MAX));
        let mut stream = Stream::new(u64::from(index));
        self.run.timed(Step::Check, || {
            let fill = empty.map(|slot| empty_slot(context, slot, PacketSalts::from_random(&stream.bytes())));
            input.packets = packets.into_iter().map(Ok).chain(fill).collect::<Result<_, _>>()?;
            anyhow::Ok(check_input(&input)?)
        })?;
        let clearings = self.run.timed(Step::Clear, || clear_all(&input))?;
        let transition = self.run.timed(Step::Transition, || {
            let transition = compute_with(input, clearings);
            check_outcome(&transition).map(|()| transition)
        })?;
        let after = transition.instance.community_new;
        self.run.timed(Step::Transition, || self.state.set(index.into(), after));
        let totals = transition.after.header.totals;
        for (sum, wh) in self.run.energy.iter_mut().zip([totals.import, totals.export, totals.traded]) {
            *sum += wh;
        }
        self.run.communities += 1;
        self.run.homes += u32::try_from(homes.len())?;
        Ok(transition)
    }

    /// The community enters the state tree, and its settlement opens. Not timed: it happens once in a community's life.
    fn opened(&mut self, index: u32, homes: &[Home]) -> anyhow::Result<SettlementInput> {
        let community = self.city.community(index, homes)?;
        self.state.set(index.into(), community.node());
        let state_path = self.run.timed(Step::Transition, || self.state.path(index.into()));
        let mut stream = Stream::new(u64::from(index) + (1 << 40));
        let header_salts = [stream.element(), stream.element()];
        let domain = domain(31_337, &[0x11; 20], CIRCUIT_VERSION);
        Ok(SettlementInput {
            domain,
            community,
            state_path,
            packets: Vec::new(),
            tariff: self.city.tariff(),
            header_salts,
            operations: Operations::default(),
        })
    }

    /// From the meters to admission.
    fn admitted(&mut self, homes: &[Home], input: &SettlementInput) -> anyhow::Result<Vec<SignedPacket>> {
        let context = input.context();
        let unsigned: Vec<_> = homes.iter().map(|home| home.packet(context)).collect();
        let signed: Vec<SignedPacket> = self.run.timed(Step::Sign, || {
            unsigned.into_par_iter().zip(homes).map(|(packet, home)| packet.sign(&home.key)).collect::<Result<_, _>>()
        })?;
        let encoded: Vec<Vec<u8>> = self.run.timed(Step::Encode, || signed.par_iter().map(encode_packet).collect());
        self.run.packet_bytes += encoded.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        drop(signed);
        let (mdm, m) = (mdm_key().public(), self.city.shape.intervals);
        let admit = |(slot, bytes): (usize, &Vec<u8>)| {
            let signed = decode_packet(bytes)?;
            let account = input.community.accounts.get(slot).ok_or_else(|| anyhow::anyhow!("no such slot"))?;
            check_packet(&context, slot, account, &mdm, &signed, m)?;
            // The identity under which the log and the index keep it.
            std::hint::black_box(packet_id(&signed));
            anyhow::Ok(signed)
        };
        self.run.timed(Step::Admit, || encoded.par_iter().enumerate().map(admit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::params::SHAPES;

    #[test]
    fn a_day_settles_community_by_community_and_every_step_is_timed() {
        let profiles = Profiles::measured().unwrap();
        // Three communities, the last with one home and three empty slots.
        let mut day = Day::new(City { homes: 9, shape: SHAPES[0], seed: 1 }, &profiles);
        (0..3).for_each(|index| day.settle(index).unwrap());
        let run = day.run;
        assert_eq!((run.communities, run.homes), (3, 9));
        let steps = [Step::Sign, Step::Encode, Step::Admit, Step::Check, Step::Clear, Step::Transition, Step::Witness];
        assert!(steps.iter().all(|step| run.cost(*step).wall_s > 0.0));
        assert_eq!(run.costs.len(), steps.len());
        assert!(run.packet_bytes > 9 * 300 && run.energy[0] > Wh::ZERO);
    }
}
