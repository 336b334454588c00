//! What was signed, kept before it is sent.
//!
//! A packet's exact bytes are on disk, synced, before they are first sent. So a retry is byte-identical, and a period
//! is never signed twice with different content. The salts in it open the member's leaf. Without them the member cannot
//! prove its balance, so nothing is ever deleted here. Files are `nonce 24 | XChaCha20-Poly1305(bytes)` under a key
//! derived from the household's folder secret, with the file name authenticated. A device that has no key of its household
//! fills an outbox of its own, under a key derived from the meter's.

use std::{
    io,
    path::{Path, PathBuf},
};

use gridveil_api::public::Taken;
use gridveil_keystore::{
    SealError, SealingKey, durable,
    sealed::{NONCE_BYTES, TAG_BYTES},
};
use gridveil_protocol::{
    codec::{PACKET_MAX_BYTES, decode_packet, encode_packet},
    field::{Fr, to_bytes},
    packet::{Context, SignedPacket},
    receipt::Receipt,
    schnorr::{PublicKey, SecretKey},
    tariff::Tariff,
    units::Interval,
    version::Domains,
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    device::Device,
    key_store::Keys,
    packet::{Draft, PacketError},
};

const MAX_FILE: u64 = 1 << 20;
const _: () = assert!((PACKET_MAX_BYTES + NONCE_BYTES + TAG_BYTES) as u64 <= MAX_FILE);

/// Why the outbox does not give or take a packet.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// File system.
    #[error("outbox {}: {kind}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What happened.
        kind: io::ErrorKind,
    },
    /// The file cannot be opened with this key, or holds something else.
    #[error("outbox file {} was changed or belongs to another key", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
    },
    /// The period was signed before, with other readings or limits.
    #[error("this period was already signed with other readings or limits; the first packet stands ({})", path.display())]
    AlreadySigned {
        /// The first packet.
        path: PathBuf,
    },
    /// Not signed.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

/// Which period of which slot of which deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Deployment and circuit version of the period.
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval.
    pub first_interval: Interval,
}

impl Period {
    fn of(draft: &Draft) -> Self {
        let c = &draft.context;
        Self { domain: c.domain, community: c.community, slot: draft.slot, first_interval: c.first_interval }
    }

    fn file(&self, kind: &str) -> String {
        let domain = hex::encode(to_bytes(&self.domain));
        format!(
            "{}-{}-{}-{}.{kind}",
            domain.get(..16).unwrap_or_default(),
            self.community,
            self.slot,
            self.first_interval
        )
    }
}

/// A directory of signed packets and verified receipts.
pub struct Outbox {
    directory: PathBuf,
    key: SealingKey,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens, or creates, an outbox.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn open(directory: &Path, keys: &Keys) -> Result<Self, OutboxError> {
        Self::under(directory, keys.outbox_key())
    }

    /// As [`Outbox::open`], of a device without its household's keys.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn of_device(directory: &Path, device: &Device) -> Result<Self, OutboxError> {
        Self::under(directory, device.outbox_key())
    }

    /// That of who hands in: the household's if its keys are here, else the device's own.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn of_signer(directory: &Path, keys: Option<&Keys>, device: &Device) -> Result<Self, OutboxError> {
        keys.map_or_else(|| Self::of_device(directory, device), |keys| Self::open(directory, keys))
    }

    fn under(directory: &Path, key: SealingKey) -> Result<Self, OutboxError> {
        durable::private_directory(directory)
            .map_err(|e| OutboxError::Io { path: directory.to_owned(), kind: e.kind() })?;
        Ok(Self { directory: directory.to_owned(), key })
    }

    /// The packet of the draft's period: the one already kept if it says the same, else a new one, signed and kept. What another
    /// device signed before it was replaced, and nobody took, this one signs again: the same content, beside the first.
    ///
    /// # Errors
    /// [`OutboxError::AlreadySigned`] if the kept one says something else.
    pub fn sign_once(&self, draft: Draft, meter: &SecretKey) -> Result<SignedPacket, OutboxError> {
        let (period, key) = (Period::of(&draft), meter.public());
        let kept = match self.packet_by(&period, &key)? {
            None => self.packet(&period)?,
            own => own,
        };
        let Some(kept) = kept else { return self.sign_as("packet", draft, meter) };
        if kept.verify(&key).is_ok() || self.is_handed_in(&period)? {
            return self.same(&draft, kept);
        }
        let again = self.sign_as(&of_meter(&key), Draft::of(&kept), meter)?;
        self.same(&draft, again)
    }

    fn sign_as(&self, kind: &str, draft: Draft, meter: &SecretKey) -> Result<SignedPacket, OutboxError> {
        let period = Period::of(&draft);
        let signed = draft.clone().sign(meter)?;
        match self.write(&period.file(kind), &encode_packet(&signed)) {
            // Another process was first: its packet stands.
            Err(OutboxError::Io { kind: io::ErrorKind::AlreadyExists, path }) => {
                let kept = self.packet_of(&period, kind)?.ok_or(OutboxError::Damaged { path })?;
                self.same(&draft, kept)
            }
            written => written.map(|()| signed),
        }
    }

    /// As [`Outbox::sign_once`]. A packet that was signed for the period under another circuit version of the deployment,
    /// before its upgrade was known, is worth nothing under this one: it is signed again, and must say the same.
    ///
    /// # Errors
    /// [`OutboxError::AlreadySigned`] if any of the kept ones says something else.
    pub fn sign_under(&self, draft: Draft, domains: &Domains, meter: &SecretKey) -> Result<SignedPacket, OutboxError> {
        let versions = domains.versions().all();
        for domain in versions.iter().map(|one| domains.of_version(one.circuit_version)) {
            let context = Context { domain, ..draft.context };
            let other = Draft { context, ..draft.clone() };
            if let Some(kept) = self.packet(&Period::of(&other))? {
                self.same(&other, kept)?;
            }
        }
        self.sign_once(draft, meter)
    }

    fn same(&self, draft: &Draft, kept: SignedPacket) -> Result<SignedPacket, OutboxError> {
        if draft.is_said_by(&kept) {
            Ok(kept)
        } else {
            Err(OutboxError::AlreadySigned { path: self.directory.join(Period::of(draft).file("packet")) })
        }
    }

    /// The packet of a period, if one was signed. Of two, the one that the operator took.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn packet(&self, period: &Period) -> Result<Option<SignedPacket>, OutboxError> {
        match self.packet_of(period, "taken")? {
            Some(taken) => Ok(Some(taken)),
            None => self.packet_of(period, "packet"),
        }
    }

    /// As [`Outbox::packet`], of those that this meter has signed.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn packet_by(&self, period: &Period, meter: &PublicKey) -> Result<Option<SignedPacket>, OutboxError> {
        for kind in ["taken", "packet", &of_meter(meter)] {
            let kept = self.packet_of(period, kind)?.filter(|signed| signed.verify(meter).is_ok());
            if kept.is_some() {
                return Ok(kept);
            }
        }
        Ok(None)
    }

    fn packet_of(&self, period: &Period, kind: &str) -> Result<Option<SignedPacket>, OutboxError> {
        let name = period.file(kind);
        let Some(bytes) = self.read(&name)? else { return Ok(None) };
        let signed = decode_packet(&bytes).map_err(|_| OutboxError::Damaged { path: self.directory.join(&name) })?;
        Ok(Some(signed))
    }

    /// Keeps a packet that the operator gave back, once this meter's signature on it is verified. If another one was
    /// signed here for the period, that stays too, and this one counts. Keeping it again changes nothing.
    ///
    /// # Errors
    /// [`OutboxError`]; [`OutboxError::AlreadySigned`] if the operator gave back yet another one before.
    pub fn take_back(&self, period: &Period, signed: &SignedPacket) -> Result<(), OutboxError> {
        if self.packet(period)?.as_ref() == Some(signed) {
            return Ok(());
        }
        let kind = if self.packet_of(period, "packet")?.is_none() { "packet" } else { "taken" };
        match self.write(&period.file(kind), &encode_packet(signed)) {
            Err(OutboxError::Io { kind: io::ErrorKind::AlreadyExists, path }) => {
                Err(OutboxError::AlreadySigned { path })
            }
            written => written,
        }
    }

    /// Notes how the sequencer has durably taken the packet. What was noted first stays.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn mark_delivered(&self, period: &Period, taken: Taken) -> Result<(), OutboxError> {
        match self.write(&period.file("delivered"), taken.as_str().as_bytes()) {
            Err(OutboxError::Io { kind: io::ErrorKind::AlreadyExists, .. }) => Ok(()),
            other => other,
        }
    }

    /// Was the packet taken while its period was open? Of a late one, or one of which an earlier release did not note how
    /// it was taken, nobody can say that the settlement should have used it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn is_delivered(&self, period: &Period) -> Result<bool, OutboxError> {
        let noted = self.read(&period.file("delivered"))?;
        Ok(noted.is_some_and(|word| word.as_slice() == Taken::Accepted.as_str().as_bytes()))
    }

    /// Was the packet taken at all, in time or late?
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn is_handed_in(&self, period: &Period) -> Result<bool, OutboxError> {
        Ok(self.read(&period.file("delivered"))?.is_some())
    }

    /// Keeps a verified receipt: the opening of the member's leaf, and what the next period's statement continues from.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn keep_receipt(&self, period: &Period, receipt: &Receipt) -> Result<(), OutboxError> {
        self.keep(&period.file("receipt"), receipt)
    }

    /// A kept receipt.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn receipt(&self, period: &Period) -> Result<Option<Receipt>, OutboxError> {
        self.kept(&period.file("receipt"))
    }

    /// Keeps the tariff that a verified receipt was billed by.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn keep_tariff(&self, period: &Period, tariff: &Tariff) -> Result<(), OutboxError> {
        self.keep(&period.file("tariff"), tariff)
    }

    /// A kept tariff.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn tariff(&self, period: &Period) -> Result<Option<Tariff>, OutboxError> {
        self.kept(&period.file("tariff"))
    }

    /// The periods of a slot whose receipts are kept, under any of these domains, in order.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn settled(&self, domains: &Domains, community: u32, slot: u16) -> Result<Vec<Period>, OutboxError> {
        let failed = |e: io::Error| OutboxError::Io { path: self.directory.clone(), kind: e.kind() };
        let of: Vec<Fr> = domains.versions().all().iter().map(|one| domains.of_version(one.circuit_version)).collect();
        let mut periods = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let first = name.to_str().and_then(|name| name.strip_suffix(".receipt")?.rsplit('-').next()?.parse().ok());
            let Some(first_interval) = first.map(Interval) else { continue };
            let named = |domain: &Fr| {
                let period = Period { domain: *domain, community, slot, first_interval };
                (name.to_str() == Some(period.file("receipt").as_str())).then_some(period)
            };
            periods.extend(of.iter().find_map(named));
        }
        periods.sort_unstable_by_key(|period| period.first_interval);
        Ok(periods)
    }

    /// What was kept first stays.
    fn keep(&self, name: &str, value: &impl Serialize) -> Result<(), OutboxError> {
        let bytes = serde_json::to_vec(value).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| OutboxError::Damaged { path: self.directory.join(name) })?;
        match self.write(name, &bytes) {
            Err(OutboxError::Io { kind: io::ErrorKind::AlreadyExists, .. }) => Ok(()),
            other => other,
        }
    }

    fn kept<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, OutboxError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|_| OutboxError::Damaged { path: self.directory.join(name) })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), OutboxError> {
        let (path, sealed) = (self.directory.join(name), self.sealed(name, bytes)?);
        durable::create_new(&path, &sealed).map_err(|e| OutboxError::Io { path, kind: e.kind() })
    }

    fn sealed(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, OutboxError> {
        self.key.seal(&[], name.as_bytes(), bytes).map_err(|error| match error {
            SealError::Randomness(_) => PacketError::Randomness.into(),
            SealError::TooLong | SealError::NotOpened => OutboxError::Damaged { path: self.directory.join(name) },
        })
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, OutboxError> {
        let path = self.directory.join(name);
        let bytes = match durable::read_bounded(&path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(OutboxError::Io { path, kind: e.kind() }),
        };
        self.key.open(&[], name.as_bytes(), &bytes).map(Some).map_err(|_| OutboxError::Damaged { path })
    }
}

/// Kind of the file of a packet that this meter signed again.
fn of_meter(meter: &PublicKey) -> String {
    format!("packet-{}", hex::encode(meter.to_bytes().get(..4).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
