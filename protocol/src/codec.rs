//! The only place that makes bytes whose hash is an id. Packets and operations have a layout of their own; header
//! operations and proof jobs are canonical JSON. Decoders check what they read and never panic.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    field::{self, Fr, Scalar},
    header_operation::HeaderOperation,
    hex::hex_bytes,
    operation::SignedOperation,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket},
    params::MAX_INTERVALS,
    schnorr::{PublicKey, Signature},
    units::{Interval, Ticks},
};
use ark_ff::PrimeField;

/// First bytes of an encoded packet.
pub const PACKET_MAGIC: [u8; 4] = *b"GVP1";
/// Bytes of an encoded packet before its readings, and of the signature after them.
pub const PACKET_FIXED_BYTES: usize = 4 + 32 + 4 + 4 + 2 + 2 + 2 + 2 + 2 + 1 + 1 + 32 + 6 * 32 + 64;
/// Largest encoded packet.
pub const PACKET_MAX_BYTES: usize = PACKET_FIXED_BYTES + 4 * MAX_INTERVALS;

/// Bytes that are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Does not start with `GVP1`.
    #[error("not a packet (bad magic)")]
    BadMagic,
    /// Ends early, goes on after its end, or announces too many intervals.
    #[error("packet has {got} bytes, its header announces {expected}")]
    WrongLength {
        /// Bytes announced.
        expected: usize,
        /// Bytes there.
        got: usize,
    },
    /// A field is out of its range.
    #[error("packet field {0} is not canonical")]
    NotCanonical(&'static str),
}

/// Canonical bytes of a packet: every field big-endian, in the order of [`Packet`]; readings as import, export u16;
/// then the signature.
#[must_use]
pub fn encode_packet(signed: &SignedPacket) -> Vec<u8> {
    let p = &signed.packet;
    let c = &p.context;
    let mut out = Vec::with_capacity(PACKET_FIXED_BYTES + 4 * p.readings.len());
    out.extend(PACKET_MAGIC);
    out.extend(field::to_bytes(&c.domain));
    out.extend(c.community.to_be_bytes());
    out.extend(c.first_interval.0.to_be_bytes());
    out.extend(c.interval_length.to_be_bytes());
    out.extend(c.intervals.to_be_bytes());
    out.extend(p.slot.to_be_bytes());
    out.extend(p.buy_limit.0.to_be_bytes());
    out.extend(p.sell_limit.0.to_be_bytes());
    out.push(u8::from(p.substituted));
    out.push(p.scale);
    out.extend(field::to_bytes(&p.previous_substitute));
    for salt in p.salts.exit.iter().chain(&p.salts.private).chain(&p.salts.note) {
        out.extend(field::to_bytes(salt));
    }
    for r in &p.readings {
        out.extend(r.import.to_be_bytes());
        out.extend(r.export.to_be_bytes());
    }
    out.extend(signed.signature.to_bytes());
    out
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let short = CodecError::WrongLength { expected: N, got: self.0.len() };
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        self.take().map(u32::from_be_bytes)
    }

    fn element(&mut self, name: &'static str) -> Result<Fr, CodecError> {
        field::from_bytes(&self.take()?).map_err(|_| CodecError::NotCanonical(name))
    }

    fn pair(&mut self, name: &'static str) -> Result<[Fr; 2], CodecError> {
        Ok([self.element(name)?, self.element(name)?])
    }
}

/// Inverse of [`encode_packet`].
///
/// # Errors
/// [`CodecError`]: never panics, refuses trailing bytes and non-canonical elements.
pub fn decode_packet(bytes: &[u8]) -> Result<SignedPacket, CodecError> {
    let mut r = Reader(bytes);
    if r.take::<4>()? != PACKET_MAGIC {
        return Err(CodecError::BadMagic);
    }
    let domain = r.element("domain")?;
    let context = Context {
        domain,
        community: r.u32()?,
        first_interval: Interval(r.u32()?),
        interval_length: r.u16()?,
        intervals: r.u16()?,
    };
    let expected = PACKET_FIXED_BYTES + 4 * usize::from(context.intervals);
    if usize::from(context.intervals) > MAX_INTERVALS || bytes.len() != expected {
        return Err(CodecError::WrongLength { expected, got: bytes.len() });
    }
    let (slot, buy_limit, sell_limit) = (r.u16()?, Ticks(r.u16()?), Ticks(r.u16()?));
    let substituted = match r.take::<1>()? {
        [0] => false,
        [1] => true,
        _ => return Err(CodecError::NotCanonical("substituted")),
    };
    let [scale] = r.take::<1>()?;
    let previous_substitute = r.element("previous_substitute")?;
    let salts = PacketSalts { exit: r.pair("salts")?, private: r.pair("salts")?, note: r.pair("salts")? };
    let readings = (0..context.intervals)
        .map(|_| Ok(Reading { import: r.u16()?, export: r.u16()? }))
        .collect::<Result<_, CodecError>>()?;
    let signature = Signature::from_bytes(&r.take::<64>()?).map_err(|_| CodecError::NotCanonical("signature"))?;
    Ok(SignedPacket {
        packet: Packet {
            context,
            slot,
            readings,
            buy_limit,
            sell_limit,
            substituted,
            scale,
            salts,
            previous_substitute,
        },
        signature,
    })
}

/// Identity of a packet: BLAKE3 of its canonical bytes.
#[must_use]
pub fn packet_id(signed: &SignedPacket) -> [u8; 32] {
    *blake3::hash(&encode_packet(signed)).as_bytes()
}

/// First bytes of an encoded operation.
pub const OPERATION_MAGIC: [u8; 4] = *b"GVO1";

/// Canonical bytes of an operation: its message's fields big-endian, in the order of [`crate::operation::Operation`],
/// absent meter and terms as zeros; owner key, nullifier commitment, the owner's signature; then the meter data
/// manager's, if there is one.
#[must_use]
pub fn encode_operation(signed: &SignedOperation) -> Vec<u8> {
    let o = &signed.operation;
    let mut out = Vec::with_capacity(640);
    out.extend(OPERATION_MAGIC);
    out.push(o.kind as u8);
    out.extend(o.community.to_be_bytes());
    out.extend(o.slot.to_be_bytes());
    out.extend(o.nonce.to_be_bytes());
    out.extend(o.amount.to_be_bytes());
    out.extend(field::to_bytes(&o.party));
    out.extend(o.payout);
    for salt in &o.salts {
        out.extend(field::to_bytes(salt));
    }
    out.extend(o.meter.map_or([0; 64], |meter| meter.to_bytes()));
    out.extend(field::to_bytes(&o.terms.map_or(Fr::from(0u64), |terms| terms.packed())));
    out.extend(signed.owner.key.to_bytes());
    out.extend(field::to_bytes(&signed.owner.nullifier));
    out.extend(signed.signature.to_bytes());
    out.extend(signed.mdm.iter().flat_map(Signature::to_bytes));
    out
}

/// Identity of an operation: BLAKE3 of its canonical bytes. The signature in them makes it unguessable.
#[must_use]
pub fn operation_id(signed: &SignedOperation) -> [u8; 32] {
    *blake3::hash(&encode_operation(signed)).as_bytes()
}

/// A value that is no JSON. What it said is withheld: it could hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be written as JSON")]
pub struct NotJson;

/// Canonical JSON: fields in declaration order, no white space.
///
/// # Errors
/// [`NotJson`]; of no type of this crate.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, NotJson> {
    serde_json::to_vec(value).map_err(|_| NotJson)
}

/// Id of something without a byte layout of its own: BLAKE3, deriving a key in `context`, of its canonical JSON.
///
/// # Errors
/// [`NotJson`].
pub fn json_id<T: Serialize>(context: &str, value: &T) -> Result<[u8; 32], NotJson> {
    Ok(blake3::derive_key(context, &canonical_json(value)?))
}

/// Identity of a header operation: BLAKE3 of the community's index, big-endian, and of its canonical JSON.
///
/// # Errors
/// [`NotJson`]; none is known.
pub fn header_operation_id(community: u32, operation: &HeaderOperation) -> Result<[u8; 32], NotJson> {
    let json = canonical_json(operation)?;
    Ok(*blake3::Hasher::new().update(&community.to_be_bytes()).update(&json).finalize().as_bytes())
}

/// 32 bytes that are no field element, in JSON `0x` and 64 hex digits: an identity, a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bytes32(#[serde(with = "hex_bytes")] pub [u8; 32]);

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.to_bytes(), s)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_bytes(&hex_bytes::deserialize::<D, 64>(d)?).map_err(D::Error::custom)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.to_bytes(), s)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_bytes(&hex_bytes::deserialize::<D, 64>(d)?).map_err(D::Error::custom)
    }
}

// Both curves' moduli have 254 bits: 32 bytes always suffice.
const _: () = assert!(Fr::MODULUS_BIT_SIZE == 254 && Scalar::MODULUS_BIT_SIZE == 254);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schnorr::SecretKey;

    fn packet() -> SignedPacket {
        let context = Context {
            domain: Fr::from(7u64),
            community: 3,
            first_interval: Interval(400_000),
            interval_length: 3600,
            intervals: 3,
        };
        let salts = PacketSalts::from_random(&std::array::from_fn(|i| u8::try_from(i % 251).unwrap()));
        let readings = vec![Reading { import: 1, export: 0 }, Reading { import: 65535, export: 2 }, Reading::default()];
        Packet {
            context,
            slot: 2,
            readings,
            buy_limit: Ticks(5),
            sell_limit: Ticks(6),
            substituted: false,
            scale: 10,
            salts,
            previous_substitute: Fr::from(0u64),
        }
        .sign(&SecretKey::from_seed(&[5; 64]))
        .unwrap()
    }

    #[test]
    fn bytes_and_json_round_trip() {
        let p = packet();
        assert_eq!(decode_packet(&encode_packet(&p)), Ok(p.clone()));
        let json = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<SignedPacket>(&json).unwrap(), p);
    }

    #[test]
    fn every_field_of_an_operation_is_in_its_identity() {
        use crate::{
            account::Terms,
            operation::{Kind, Operation},
            owner::owner_of,
        };
        let (secret, domain) = (SecretKey::from_seed(&[5; 64]), Fr::from(7u64));
        let signed = Operation::new(Kind::Terms, 5, 2, 3).sign(domain, &secret, owner_of(&secret)).unwrap();
        let id = operation_id(&signed);
        let edits: [fn(&mut SignedOperation); 13] = [
            |s| s.operation.kind = Kind::Send,
            |s| s.operation.community += 1,
            |s| s.operation.slot += 1,
            |s| s.operation.nonce += 1,
            |s| s.operation.amount += 1,
            |s| s.operation.party += Fr::from(1u64),
            |s| s.operation.payout[19] ^= 1,
            |s| s.operation.salts[3] += Fr::from(1u64),
            |s| s.operation.meter = Some(s.owner.key),
            |s| s.operation.terms = Some(Terms { cap_import: 1, ..Terms::default() }),
            |s| s.owner.nullifier += Fr::from(1u64),
            |s| s.owner.key = SecretKey::from_seed(&[6; 64]).public(),
            |s| s.mdm = Some(s.signature),
        ];
        for edit in edits {
            let mut other = signed.clone();
            edit(&mut other);
            assert_ne!(operation_id(&other), id);
        }
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(operation_id(&serde_json::from_str(&json).unwrap()), id);
    }

    #[test]
    fn damaged_bytes_are_refused_without_panic() {
        let bytes = encode_packet(&packet());
        for cut in 0..bytes.len() {
            assert!(decode_packet(&bytes[..cut]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode_packet(&longer).is_err());
        let mut high = bytes.clone();
        high[4] = 0xff; // domain above the modulus
        assert_eq!(decode_packet(&high), Err(CodecError::NotCanonical("domain")));
        for i in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[i] ^= 0x41;
            let _ = decode_packet(&flipped); // must not panic
        }
    }
}
