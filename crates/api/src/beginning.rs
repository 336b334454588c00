//! Communities that begin empty with their first batch (STATE.INIT), and the salts of their empty slots and header.

use gridveil_protocol::{
    account::{Account, LeafSalts},
    community::Community,
    field::{Fr, reduce},
    header::{Header, Totals},
    hex::parse0,
    market::Mechanism,
    packet::PacketSalts,
    params::{CERTIFICATES_DEPTH, STATE_DEPTH, Shape},
    schnorr::PublicKey,
    tree::SparseTree,
    units::Interval,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

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

/// A community that is to begin: a line of the file of `gridveil sequencer --begin`, and what
/// `POST /admin/v1/communities` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// Index in the state tree.
    pub community: u32,
    /// Name of the shape.
    pub shape: String,
    /// Clearing rule.
    #[schema(value_type = schema::Mechanism)]
    pub mechanism: Mechanism,
    /// Seconds.
    pub interval_length: u16,
    /// First interval of the first period.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// The meter data manager's public key, 0x and 128 hex digits.
    pub mdm: String,
}

/// What cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginningError {
    /// No such shape.
    #[error("community {community}: no shape {shape}")]
    Shape {
        /// Community.
        community: u32,
        /// Name that was given.
        shape: String,
    },
    /// Not a key.
    #[error("community {community}: mdm must be 0x and 128 hex digits: x and y of a point")]
    Mdm {
        /// Community.
        community: u32,
    },
    /// Beyond the state tree.
    #[error("community {community}: the state tree has room for 0 to {last}")]
    Index {
        /// Community.
        community: u32,
        /// The last one.
        last: u64,
    },
    /// An interval of no length.
    #[error("community {community}: an interval of 0 s")]
    Length {
        /// Community.
        community: u32,
    },
}

impl Beginning {
    /// What is registered.
    ///
    /// # Errors
    /// [`BeginningError`].
    pub fn registered(&self) -> Result<Registered, BeginningError> {
        let community = self.community;
        let last = (1 << (2 * STATE_DEPTH)) - 1;
        if u64::from(community) > last {
            return Err(BeginningError::Index { community, last });
        }
        if self.interval_length == 0 {
            return Err(BeginningError::Length { community });
        }
        let shape = Shape::by_name(&self.shape)
            .ok_or_else(|| BeginningError::Shape { community, shape: self.shape.clone() })?;
        let mdm = parse0::<64>(&self.mdm).and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
        Ok(Registered {
            index: community,
            shape,
            mechanism: self.mechanism,
            interval_length: self.interval_length,
            first_interval: self.first_interval,
            mdm: mdm.ok_or(BeginningError::Mdm { community })?,
        })
    }
}
