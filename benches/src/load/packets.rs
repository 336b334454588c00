//! The city's packets, signed before anything is measured: who sends them has no processor left for that.
//!
//! A file of records, period by period and community by community: `packet_id 32 | n u32 | canonical bytes n`.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use anyhow::Context as _;
use gridveil_protocol::{
    codec::{encode_packet, packet_id},
    community::Community,
    field::Fr,
    instance::domain,
    owner::owner_of,
    packet::Context,
    params::CIRCUIT_VERSION,
    poseidon::DomainTag,
    receipt::ReceiptRequest,
    schnorr::SecretKey,
    units::Interval,
};
use gridveil_sequencer::store::GenesisState;
use rayon::prelude::*;

use crate::{
    bar::Bar,
    scale::city::{City, Home, Profiles},
};

/// Chain of the in-memory L1.
pub(super) const CHAIN: u64 = 31_337;
/// Its contract.
pub(super) const CONTRACT: [u8; 20] = [0x11; 20];

/// Domain of the deployment.
pub(super) fn the_domain() -> Fr {
    domain(CHAIN, &CONTRACT, CIRCUIT_VERSION)
}

/// Owner of the first home of a community: the one that asks for receipts.
pub(super) fn owner_key(community: u32) -> SecretKey {
    let mut stream = gridveil_protocol::fixture::Stream::new((1 << 42) + u64::from(community));
    SecretKey::from_seed(&stream.bytes())
}

/// A community as the sequencer starts with it.
fn opened(city: &City, profiles: &Profiles, index: u32) -> anyhow::Result<Community> {
    let mut community = city.community(index, &city.members(profiles, index))?;
    if let Some(first) = community.accounts.first_mut() {
        first.owner = owner_of(&owner_key(index)).commitment();
    }
    Ok(community)
}

/// The genesis of the city.
pub(super) fn genesis(city: &City) -> anyhow::Result<GenesisState> {
    let profiles = Profiles::measured()?;
    let communities = (0..city.communities()).map(|index| opened(city, &profiles, index)).collect::<Result<_, _>>()?;
    Ok(GenesisState {
        chain_id: CHAIN,
        contract: CONTRACT,
        circuit_version: CIRCUIT_VERSION,
        communities,
        other_leaves: Vec::new(),
        begins: Vec::new(),
    })
}

/// First interval of a period, by number.
pub(super) fn first_interval(city: &City, period: u32) -> Interval {
    city.first_interval() + period * u32::try_from(city.shape.intervals).unwrap_or(u32::MAX)
}

/// A packet's place, as far as the log knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub community: u32,
    pub slot: u16,
    pub first_interval: Interval,
}

/// Place of each packet of the file, in order.
pub(super) fn places(city: &City, periods: u32) -> impl Iterator<Item = Place> {
    let city = *city;
    (0..periods).flat_map(move |period| {
        (0..city.communities()).flat_map(move |community| {
            let place = move |slot| Place { community, slot, first_interval: first_interval(&city, period) };
            (0..city.numbers(community).len()).map(move |slot| place(u16::try_from(slot).unwrap_or(u16::MAX)))
        })
    })
}

/// Signs every home's packet of every period.
///
/// # Errors
/// The file, or signing.
pub(super) fn write(city: &City, periods: u32, path: &Path) -> anyhow::Result<()> {
    let profiles = Profiles::measured()?;
    let bar = Bar::stderr("packets signed", u64::from(periods) * u64::from(city.communities()));
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    let towns: Vec<Vec<Home>> = (0..city.communities()).map(|index| city.members(&profiles, index)).collect();
    for period in 0..periods {
        for (community, homes) in (0..).zip(&towns) {
            let context = Context {
                domain: the_domain(),
                community,
                first_interval: first_interval(city, period),
                interval_length: city.interval_length(),
                intervals: u16::try_from(city.shape.intervals)?,
            };
            let signed: Vec<_> =
                homes.par_iter().map(|home| home.packet(context).sign(&home.key)).collect::<Result<_, _>>()?;
            for packet in signed {
                let bytes = encode_packet(&packet);
                file.write_all(&packet_id(&packet))?;
                file.write_all(&u32::try_from(bytes.len())?.to_be_bytes())?;
                file.write_all(&bytes)?;
            }
            bar.step();
        }
    }
    Ok(file.into_inner()?.sync_all()?)
}

/// Reads packets one after the other.
pub(super) struct Packets(BufReader<File>);

impl Packets {
    /// From the first one on.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(BufReader::with_capacity(1 << 20, File::open(path)?)))
    }

    /// Identity and bytes.
    pub(super) fn next(&mut self) -> anyhow::Result<([u8; 32], Vec<u8>)> {
        let (mut id, mut length) = ([0; 32], [0; 4]);
        self.0.read_exact(&mut id)?;
        self.0.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        self.0.read_exact(&mut bytes)?;
        Ok((id, bytes))
    }

    /// Leaves so many out.
    pub(super) fn skip(mut self, packets: u64) -> anyhow::Result<Self> {
        for _ in 0..packets {
            let mut head = [0; 36];
            self.0.read_exact(&mut head)?;
            let [.., a, b, c, d] = head;
            self.0.seek_relative(i64::from(u32::from_be_bytes([a, b, c, d])))?;
        }
        Ok(self)
    }
}

/// Asks for the receipt of a community's first home.
///
/// # Errors
/// Signing, practically never.
pub(super) fn receipt_request(community: u32, first_interval: Interval, now: u64) -> anyhow::Result<ReceiptRequest> {
    let (owner, slot) = (owner_key(community), 0);
    let message = ReceiptRequest::message(the_domain(), community, slot, first_interval, now);
    let signature = owner.sign(DomainTag::Request, &message)?;
    Ok(ReceiptRequest { community, slot, first_interval, timestamp: now, owner: owner_of(&owner), signature })
}
