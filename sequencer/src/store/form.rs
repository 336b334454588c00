//! How what follows from the log is written in a snapshot (`docs/spec/log.md`, Snapshots): JSON. Packets, of which there
//! are most, are one text a period.

use std::{collections::BTreeMap, sync::Arc};

use gridveil_protocol::{field::Fr, params::Shape, units::Interval, version::Versions};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    log_state::{CommunityState, PacketEntry, Packets},
    record::Element,
};

/// Slot, substituted, identity, offset.
const PACKET_BYTES: usize = 2 + 1 + 32 + 8;

/// Something that is shared in memory.
pub(super) mod shared {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, s: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(s)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(d).map(Arc::new)
    }
}

pub(super) mod communities {
    use super::*;

    pub fn serialize<S: Serializer>(all: &BTreeMap<u32, Arc<CommunityState>>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(all.iter().map(|(community, state)| (community, state.as_ref())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<u32, Arc<CommunityState>>, D::Error> {
        let all = BTreeMap::<u32, CommunityState>::deserialize(d)?;
        Ok(all.into_iter().map(|(community, state)| (community, Arc::new(state))).collect())
    }
}

pub(super) mod shape {
    use super::*;

    pub fn serialize<S: Serializer>(shape: &Shape, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(shape.name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Shape, D::Error> {
        Shape::by_name(&String::deserialize(d)?).ok_or_else(|| D::Error::custom("an unknown shape"))
    }
}

pub(super) mod versions {
    use super::*;

    pub fn serialize<S: Serializer>(versions: &Versions, s: S) -> Result<S::Ok, S::Error> {
        versions.all().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Versions, D::Error> {
        Versions::from_list(&Vec::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// Tariffs as a list.
pub(super) mod tariffs {
    use super::*;

    pub fn serialize<S: Serializer>(all: &BTreeMap<Interval, (u64, Fr)>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(all.iter().map(|(first_interval, (offset, tariff))| (first_interval, offset, Element(*tariff))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Interval, (u64, Fr)>, D::Error> {
        let all = Vec::<(Interval, u64, Element)>::deserialize(d)?;
        Ok(all.into_iter().map(|(first_interval, offset, tariff)| (first_interval, (offset, tariff.0))).collect())
    }
}

fn written(packets: &Packets) -> String {
    let mut bytes = Vec::with_capacity(packets.len() * PACKET_BYTES);
    for ((slot, substituted), packet) in packets {
        bytes.extend(slot.to_be_bytes());
        bytes.push(u8::from(*substituted));
        bytes.extend(packet.id);
        bytes.extend(packet.offset.to_be_bytes());
    }
    hex::encode(bytes)
}

fn read(text: &str) -> Option<Packets> {
    let bytes = hex::decode(text).ok()?;
    let (entries, rest) = bytes.as_chunks::<PACKET_BYTES>();
    let entry = |bytes: &[u8; PACKET_BYTES]| {
        let (slot, rest) = bytes.split_first_chunk::<2>()?;
        let (substituted, rest) = rest.split_first()?;
        let (id, offset) = rest.split_first_chunk::<32>()?;
        let offset = u64::from_be_bytes(offset.try_into().ok()?);
        let substituted = [false, true].into_iter().find(|value| u8::from(*value) == *substituted)?;
        Some(((u16::from_be_bytes(*slot), substituted), PacketEntry { id: *id, offset }))
    };
    rest.is_empty().then(|| entries.iter().map(entry).collect())?
}

/// Packets of a period.
pub(super) mod packets {
    use super::*;

    pub fn serialize<S: Serializer>(packets: &Packets, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&written(packets))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Packets, D::Error> {
        read(&String::deserialize(d)?).ok_or_else(|| D::Error::custom("not packets"))
    }
}

/// Packets of later periods.
pub(super) mod ahead {
    use super::*;

    pub fn serialize<S: Serializer>(ahead: &BTreeMap<Interval, Packets>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(ahead.iter().map(|(first_interval, packets)| (first_interval, written(packets))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Interval, Packets>, D::Error> {
        let of_period = |(first_interval, text): (Interval, String)| {
            Ok((first_interval, read(&text).ok_or_else(|| D::Error::custom("not packets"))?))
        };
        Vec::<(Interval, String)>::deserialize(d)?.into_iter().map(of_period).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_round_trip_and_others_are_refused() {
        let packet = |n: u8| PacketEntry { id: [n; 32], offset: u64::from(n) << 40 };
        let packets: Packets = [((0, false), packet(1)), ((0, true), packet(2)), ((700, false), packet(255))].into();
        let text = written(&packets);
        assert_eq!((read(&text), text.len()), (Some(packets), 3 * 2 * PACKET_BYTES));
        assert_eq!(read(""), Some(Packets::new()));
        let mut neither = text.clone();
        neither.replace_range(4..6, "02");
        for wrong in [&text[1..], &text[2..], &neither, "zz"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
