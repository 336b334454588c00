//! Seeded communities, packets and tariffs for tests and benchmarks (feature `fixture`). Nothing here is secret.

pub mod certificate;
#[allow(clippy::wildcard_enum_match_arm, reason = "a kind without fields of its own need not be named by the fixtures")]
mod operations;

pub use operations::{
    Extras, beginning, following, next_mdm_key, next_meter_key, next_owner_key, operate, reroot, resign_correction,
    resign_management, resign_operation, with_operations,
};

use crate::{
    account::{Account, LeafSalts, Registers, Terms},
    community::Community,
    field::Fr,
    header::{Header, Totals},
    instance::domain,
    market::Mechanism,
    owner::owner_of,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket, empty_slot},
    params::{CERTIFICATES_DEPTH, CIRCUIT_VERSION, STATE_DEPTH, Shape},
    schnorr::{PublicKey, SchnorrError, SecretKey},
    settlement::SettlementInput,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    tree::SparseTree,
    units::{Interval, Ticks, Wh},
};

/// Deterministic stream of bytes.
#[derive(Debug)]
pub struct Stream(blake3::OutputReader);

impl Stream {
    /// Stream named by a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new_derive_key("gridveil fixture").update(&seed.to_be_bytes()).finalize_xof())
    }

    /// N bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill(&mut out);
        out
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % bound.max(1)
    }

    /// A field element.
    pub fn element(&mut self) -> Fr {
        crate::field::reduce(&self.bytes::<64>())
    }
}

/// Key of the meter in `slot`.
#[must_use]
pub fn meter_key(slot: usize) -> SecretKey {
    let mut seed = [7; 64];
    seed[..8].copy_from_slice(&(slot as u64).to_be_bytes());
    SecretKey::from_seed(&seed)
}

/// Signing key of the owner of `slot`.
#[must_use]
pub fn owner_key(slot: usize) -> SecretKey {
    let mut seed = [5; 64];
    seed[..8].copy_from_slice(&(slot as u64).to_be_bytes());
    SecretKey::from_seed(&seed)
}

/// Key of the meter data manager.
#[must_use]
pub fn mdm_key() -> SecretKey {
    SecretKey::from_seed(&[9; 64])
}

/// What a fixture varies.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Size.
    pub shape: Shape,
    /// Seed of everything random.
    pub seed: u64,
    /// Mechanism.
    pub mechanism: Mechanism,
    /// Used slots; the rest is empty.
    pub used: usize,
}

/// A community and one period's packets: a debtor in slot 1, a substituted packet in the last used slot, which had one
/// before, a scale-10 plant in slot 0, both classes, random limits and readings.
///
/// # Errors
/// Signing errors, practically never.
pub fn settlement(recipe: &Recipe) -> Result<SettlementInput, SchnorrError> {
    let mut stream = Stream::new(recipe.seed);
    let shape = recipe.shape;
    let first_interval = Interval(420_000 + u32::try_from(recipe.seed % 1000).unwrap_or(0) * 24);
    let mut accounts: Vec<Account> =
        (0..shape.members).map(|slot| account(&mut stream, recipe, slot, first_interval)).collect();
    let substituted = |slot: usize| slot + 1 == recipe.used && recipe.used > 3;
    for (slot, account) in accounts.iter_mut().enumerate().filter(|(slot, _)| substituted(*slot)) {
        account.pending_substitute = Stream::new(recipe.seed ^ 0x666c ^ (slot as u64) << 32).element();
    }
    let debt = accounts.iter().map(|a| a.debt).sum();
    let header = Header {
        mechanism: recipe.mechanism,
        interval_length: 3600,
        intervals: u16::try_from(shape.intervals).unwrap_or(0),
        mdm: mdm_key().public(),
        next_interval: first_interval,
        supplier_account: 5_000_000_000_000,
        fee_account: 77,
        reserve: 1_000,
        nonce: 0,
        totals: Totals { debt, ..Totals::default() },
        certificate_count: 1,
        salts: [stream.element(), stream.element()],
    };
    let mut certificates = SparseTree::new(CERTIFICATES_DEPTH);
    certificates.set(0, stream.element());
    let community = Community { index: 5, shape, header, accounts, certificates };
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(4, stream.element());
    state.set(5, community.node());
    let mut input = SettlementInput {
        domain: domain(31337, &[0x11; 20], CIRCUIT_VERSION),
        state_path: state.path(5),
        community,
        packets: Vec::new(),
        tariff: tariff(&mut stream, shape.intervals),
        header_salts: [stream.element(), stream.element()],
        operations: crate::operation_slots::Operations::default(),
    };
    input.packets = packets(&mut stream, &input, substituted)?;
    Ok(input)
}

fn account(stream: &mut Stream, recipe: &Recipe, slot: usize, first_interval: Interval) -> Account {
    let salts = LeafSalts { exit: [stream.element(), stream.element()], private: [stream.element(), stream.element()] };
    if slot >= recipe.used {
        return Account::empty(salts);
    }
    let debtor = slot == 1;
    Account {
        owner: owner_of(&owner_key(slot)).commitment(),
        meter: Some(meter_key(slot).public()),
        balance: if debtor { 0 } else { stream.below(5_000_000_000) },
        payout: stream.bytes(),
        debt: if debtor { 1_000_000 + stream.below(1_000_000) } else { 0 },
        nonce: u32::try_from(stream.below(9)).unwrap_or(0),
        terms: Terms {
            active_from: if slot == 2 { first_interval + 1 } else { Interval::ZERO },
            active_until: if slot == 3 { first_interval + 1 } else { Interval::MAX },
            buy_limit: ticks(900 + stream.below(5) * 300),
            sell_limit: ticks(600 + stream.below(5) * 200),
            cap_import: 9000,
            cap_export: 8000,
            technology: u8::from(slot % 3 != 1),
            scale: if slot == 0 { 10 } else { 1 },
            class: u8::from(slot % 2 == 1),
        },
        registers: Registers { import: Wh(100 + slot as u64), export: Wh(50), bought: Wh(20), sold: Wh(10) },
        pending_substitute: Fr::from(0u64),
        salts,
    }
}

fn ticks(number: impl TryInto<u16>) -> Ticks {
    Ticks(number.try_into().unwrap_or(0))
}

/// A random two-class tariff with a negative price in it.
#[must_use]
pub fn tariff(stream: &mut Stream, intervals: usize) -> Tariff {
    let mut price = |base: i32, spread: u64| base + i32::try_from(stream.below(spread)).unwrap_or(0);
    let entry = |interval: usize, price: &mut dyn FnMut(i32, u64) -> i32| IntervalTariff {
        classes: std::array::from_fn(|class| ClassPrices {
            energy: if interval == 1 {
                -20_000
            } else {
                price(150_000, 100_000) + i32::try_from(class).unwrap_or(0) * 10_000
            },
            network: price(60_000, 1000),
            feed_in: price(50_000, 20_000),
            local_fee: price(10_000, 1000),
        }),
        cap: ticks(price(1500, 700)),
        floor: ticks(price(500, 300)),
        reference: ticks(price(900, 600)),
    };
    Tariff { intervals: (0..intervals).map(|i| entry(i, &mut price)).collect() }
}

/// Packets of all slots, by the meters or, where `substituted`, by the meter data manager.
fn packets(
    stream: &mut Stream,
    input: &SettlementInput,
    substituted: impl Fn(usize) -> bool,
) -> Result<Vec<SignedPacket>, SchnorrError> {
    let context = input.context();
    (0..)
        .zip(&input.community.accounts)
        .map(|(number, account)| {
            let salts = PacketSalts::from_random(&stream.bytes());
            let slot = usize::from(number);
            if account.meter.is_none() {
                return empty_slot(context, number, salts);
            }
            let substituted = substituted(slot);
            let readings = (0..input.community.shape.intervals).map(|t| reading(stream, input, slot, t)).collect();
            let previous_substitute = if substituted { account.pending_substitute } else { Fr::from(0u64) };
            Packet {
                previous_substitute,
                scale: account.terms.scale,
                ..packet(context, number, readings, substituted, salts)
            }
            .sign(&packet_key(input, slot, substituted))
        })
        .collect()
}

/// Who signs a slot's packet.
fn packet_key(input: &SettlementInput, slot: usize, substituted: bool) -> SecretKey {
    match input.community.accounts.get(slot).and_then(|account| account.meter) {
        _ if substituted => operations::present_mdm(input),
        Some(meter) if meter == next_meter_key(slot).public() => next_meter_key(slot),
        Some(_) => meter_key(slot),
        None => crate::schnorr::empty_slot_key(),
    }
}

fn reading(stream: &mut Stream, input: &SettlementInput, slot: usize, interval: usize) -> Reading {
    let at = input.community.header.next_interval + u32::try_from(interval).unwrap_or(0);
    let account = input.community.accounts.get(slot);
    if account.is_none_or(|a| at < a.terms.active_from || at >= a.terms.active_until) {
        return Reading::default();
    }
    let small = |x: u64| u16::try_from(x).unwrap_or(0);
    let export = if stream.below(3) == 0 { 0 } else { small(stream.below(3000)) };
    Reading { import: small(stream.below(3000)), export }
}

/// The account's.
pub(super) fn scale(input: &SettlementInput, slot: usize) -> u8 {
    input.community.accounts.get(slot).map_or(1, |account| account.terms.scale)
}

/// A plain packet of an account of scale 1. A substitute has no previous one.
#[must_use]
pub fn packet(context: Context, slot: u16, readings: Vec<Reading>, substituted: bool, salts: PacketSalts) -> Packet {
    Packet {
        context,
        slot,
        readings,
        buy_limit: Ticks(2100),
        sell_limit: Ticks(800),
        substituted,
        scale: 1,
        salts,
        previous_substitute: Fr::from(0u64),
    }
}

/// Signs a slot's packet again after an edit, with the key that slot and flag ask for, in the account's scale.
///
/// # Errors
/// Signing errors, practically never.
pub fn resign(input: &mut SettlementInput, slot: usize) -> Result<(), SchnorrError> {
    if let Some(mut packet) = input.packets.get(slot).map(|signed| signed.packet.clone()) {
        packet.scale = scale(input, slot);
        let key = packet_key(input, slot, packet.substituted);
        input.packets[slot] = packet.sign(&key)?;
    }
    Ok(())
}

/// Public key of the meter in `slot`.
#[must_use]
pub fn meter_public(slot: usize) -> PublicKey {
    meter_key(slot).public()
}

#[cfg(test)]
#[path = "fixture_tests.rs"]
mod tests;
