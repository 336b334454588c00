//! Bodies of records as a thief of the disk finds them: sealed as a whole, and no longer than others by what is in them
//! (`docs/spec/log.md`, Body).

use gridveil_keystore::SealingKey;
use zeroize::Zeroize as _;

use super::{
    StoreError,
    data_keys::DataKeyError,
    log::{IN_CLEAR, Identity},
};

/// Fewest bytes of a body before it is sealed.
const LEAST: usize = 1024;
/// Bytes of its length before it.
const LENGTH_BYTES: usize = 4;

/// How the bodies of a log are sealed.
#[derive(Clone)]
pub struct Bodies {
    /// `None` for a log of the format before.
    key: Option<SealingKey>,
    id: [u8; 16],
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bodies")
    }
}

/// A key that follows from the master key, for one purpose in one log.
pub(crate) fn derived(purpose: &str, master: &SealingKey, id: &[u8; 16]) -> SealingKey {
    let mut hasher = blake3::Hasher::new_derive_key(purpose);
    hasher.update(master.as_bytes()).update(id);
    let mut key = [0; 32];
    hasher.finalize_xof().fill(&mut key);
    let derived = SealingKey::new(key);
    key.zeroize();
    derived
}

/// Bytes that `length` is filled up to: a multiple of `least`, and above eight of them of an eighth of the next power of two.
pub(super) fn filled(length: usize, least: usize) -> usize {
    length.next_multiple_of((length.next_power_of_two() / 8).max(least))
}

impl Bodies {
    /// Those of a log.
    #[must_use]
    pub fn of(master: &SealingKey, identity: &Identity) -> Self {
        let sealed = identity.version != IN_CLEAR;
        Self { key: sealed.then(|| derived("gridveil log bodies v1", master, &identity.id)), id: identity.id }
    }

    fn context(&self, kind: u16) -> Vec<u8> {
        [&b"gridveil log body v1"[..], &self.id, &kind.to_be_bytes()].concat()
    }

    /// What is written of a body.
    ///
    /// # Errors
    /// [`DataKeyError::Random`], or one that is too long.
    pub fn seal(&self, kind: u16, body: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let Some(key) = &self.key else { return Ok(body) };
        let length = u32::try_from(body.len()).map_err(|_| StoreError::Inconsistent("a record is too long"))?;
        let mut plain = [&length.to_be_bytes()[..], &body].concat();
        plain.resize(filled(plain.len(), LEAST), 0);
        let sealed = key.seal(&[], &self.context(kind), &plain);
        sealed.map_err(|_| StoreError::DataKeys(DataKeyError::Random(gridveil_keystore::NoRandomness)))
    }

    /// The body that was written so.
    ///
    /// # Errors
    /// [`DataKeyError::Master`]: another master key.
    pub fn open(&self, kind: u16, written: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let Some(key) = &self.key else { return Ok(written) };
        let another = || DataKeyError::Master("is not the one of this log");
        let plain = key.open(&[], &self.context(kind), &written).map_err(|_| another())?;
        let length =
            plain.first_chunk::<LENGTH_BYTES>().and_then(|length| usize::try_from(u32::from_be_bytes(*length)).ok());
        let body = length.and_then(|length| plain.get(LENGTH_BYTES..LENGTH_BYTES.checked_add(length)?));
        body.map(<[u8]>::to_vec).ok_or(StoreError::Inconsistent("a body is shorter than it says"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::log::VERSION;

    #[test]
    fn bodies_of_a_kind_have_few_lengths() {
        let lengths: std::collections::BTreeSet<usize> = (1..8000).map(|length| filled(length, LEAST)).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), (1..=8).map(|n| n * 1024).collect::<Vec<_>>());
        for length in [1, 1023, 1025, 9000, 100_000, 16_000_000] {
            assert!(
                filled(length, LEAST) >= length && filled(length, LEAST) <= length + (length / 4).max(1024),
                "{length}"
            );
        }
    }

    #[test]
    fn a_body_opens_under_its_master_log_and_kind_alone() {
        let (master, other) = (SealingKey::new([1; 32]), SealingKey::new([2; 32]));
        let identity = Identity { id: [3; 16], version: VERSION };
        let bodies = Bodies::of(&master, &identity);
        let written = bodies.seal(2, b"{\"slot\":3}".to_vec()).unwrap();
        assert_eq!(written.len(), bodies.seal(2, vec![b'x'; 900]).unwrap().len());
        assert_eq!(bodies.open(2, written.clone()).unwrap(), b"{\"slot\":3}");
        assert!(bodies.open(3, written.clone()).is_err());
        assert!(Bodies::of(&other, &identity).open(2, written.clone()).is_err());
        assert!(Bodies::of(&master, &Identity { id: [4; 16], ..identity }).open(2, written.clone()).is_err());
        let clear = Bodies::of(&master, &Identity { version: IN_CLEAR, ..identity });
        assert_eq!(clear.open(2, clear.seal(2, b"as it is".to_vec()).unwrap()).unwrap(), b"as it is");
    }
}
