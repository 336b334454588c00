//! Communities that begin empty with their first batch (STATE.INIT), and the salts of their empty slots and header.

use anyhow::Context as _;
use gridveil_protocol::{
    account::{Account, LeafSalts},
    community::Community,
    field::{Fr, reduce},
    header::{Header, Totals},
    market::Mechanism,
    packet::PacketSalts,
    params::{CERTIFICATES_DEPTH, Shape},
    schnorr::PublicKey,
    tree::SparseTree,
    units::Interval,
};
use serde::{Deserialize, Serialize};

/// Deterministic bytes under a public name: not secret.
#[derive(Debug)]
pub struct PublicStream(blake3::OutputReader);

impl PublicStream {
    /// The stream of `purpose` and `number`.
    #[must_use]
    pub fn new(purpose: &str, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("gridveil demonstration 1, public");
        hasher.update(&(purpose.len() as u64).to_be_bytes()).update(purpose.as_bytes()).update(&number.to_be_bytes());
        Self(hasher.finalize_xof())
    }

    /// N bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill(&mut out);
        out
    }

    /// A field element.
    pub fn element(&mut self) -> Fr {
        reduce(&self.bytes::<64>())
    }

    /// Salts of a packet.
    pub fn packet_salts(&mut self) -> PacketSalts {
        PacketSalts::from_random(&self.bytes())
    }
}

/// What is fixed of a community when it is registered.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// Index in the state tree.
    pub index: u32,
    /// Size of its settlements.
    pub shape: Shape,
    /// Clearing rule.
    pub mechanism: Mechanism,
    /// Seconds.
    pub interval_length: u16,
    /// First interval that is settled.
    pub first_interval: Interval,
    /// Key of the meter data manager.
    pub mdm: PublicKey,
}

impl Registered {
    /// The community before anybody is in it. Its salts are public: they hide that nothing is there, and the first
    /// settlement replaces them.
    #[must_use]
    pub fn empty(&self) -> Community {
        let mut salts = PublicStream::new("genesis salts", self.index.into());
        let mut next =
            || LeafSalts { exit: [salts.element(), salts.element()], private: [salts.element(), salts.element()] };
        let accounts = (0..self.shape.members).map(|_| Account::empty(next())).collect();
        let header = Header {
            mechanism: self.mechanism,
            interval_length: self.interval_length,
            intervals: u16::try_from(self.shape.intervals).unwrap_or(u16::MAX),
            mdm: self.mdm,
            next_interval: self.first_interval,
            supplier_account: 0,
            fee_account: 0,
            reserve: 0,
            nonce: 0,
            totals: Totals::default(),
            certificate_count: 0,
            salts: [salts.element(), salts.element()],
        };
        Community {
            index: self.index,
            shape: self.shape,
            header,
            accounts,
            certificates: SparseTree::new(CERTIFICATES_DEPTH),
        }
    }
}

/// A community that is to begin, as a file names it (`gridveil sequencer --begin`).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// Index in the state tree.
    pub community: u32,
    /// Name of the shape.
    pub shape: String,
    /// Clearing rule.
    pub mechanism: Mechanism,
    /// Seconds.
    pub interval_length: u16,
    /// First interval of the first period.
    pub first_interval: Interval,
    /// The meter data manager's public key, 0x and 128 hex digits.
    pub mdm: String,
}

impl Beginning {
    /// What is registered.
    ///
    /// # Errors
    /// A shape or key that does not exist.
    pub fn registered(&self) -> anyhow::Result<Registered> {
        Ok(Registered {
            index: self.community,
            shape: Shape::by_name(&self.shape).with_context(|| format!("no shape {}", self.shape))?,
            mechanism: self.mechanism,
            interval_length: self.interval_length,
            first_interval: self.first_interval,
            mdm: crate::mdm::public_key(&self.mdm, "mdm")?,
        })
    }
}
