//! Which circuit a settlement is proved by.
//!
//! A version names a circuit in every shape, and with it keys, verifier contracts and the domain of every statement.
//! What was signed for one version is void in another. A version belongs to a deployment and to a batch, not to a
//! program. A program lists the versions it knows (`gridveil_circuits::version`).

use serde::{Deserialize, Serialize};

use crate::{field::Fr, instance, units::Interval};

/// Numbers of certificate circuits begin here. Far from the settlements', which are counted from 1.
pub const FIRST_CERTIFICATE: u64 = 1_000_001;

/// Version of a circuit. Settlement circuits are numbered from 1, certificate circuits from 1,000,001
/// ([`crate::certificate::CERTIFICATE_VERSION`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CircuitVersion(u64);

impl CircuitVersion {
    /// Operations, certificates, corrections.
    pub const V2: Self = Self(2);
    /// The version that a new deployment begins with.
    pub const CURRENT: Self = Self::V2;

    /// Version of a number, whether any circuit has it or not.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Is it a settlement circuit's number? The others are the certificate circuits'.
    #[must_use]
    pub const fn is_settlement(self) -> bool {
        self.0 < FIRST_CERTIFICATE
    }
}

impl Default for CircuitVersion {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl From<u32> for CircuitVersion {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl std::fmt::Display for CircuitVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// From when on a circuit version counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFrom {
    /// The version.
    pub circuit_version: CircuitVersion,
    /// Unix seconds: it is the version of every period that begins at or after it, until the next one's.
    pub from_s: u64,
}

/// Why versions do not follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionOrder {
    /// The first one counts from the beginning.
    #[error("the first circuit version counts from the beginning of time")]
    First,
    /// Each one counts from a later time than the one before.
    #[error("circuit version {version} counts from no later time than the one before")]
    Time {
        /// The version.
        version: CircuitVersion,
    },
    /// It is the one before.
    #[error("circuit version {version} follows itself")]
    Same {
        /// The version.
        version: CircuitVersion,
    },
    /// Settlements are not proved by it.
    #[error("circuit version {version} is not a settlement circuit's")]
    NotSettlement {
        /// The version.
        version: CircuitVersion,
    },
}

/// The circuit versions of a deployment over time. A period has exactly one, decided by its beginning; so has everything
/// that is signed for it (`docs/adr/0014-a-living-sequencer-changes-its-circuit.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    first: CircuitVersion,
    later: Vec<VersionFrom>,
}

impl Default for Versions {
    fn default() -> Self {
        Self::new(CircuitVersion::CURRENT)
    }
}

impl Versions {
    /// One version, of every period.
    #[must_use]
    pub const fn new(first: CircuitVersion) -> Self {
        Self { first, later: Vec::new() }
    }

    /// From a list as [`Versions::all`] gives it.
    ///
    /// # Errors
    /// [`VersionOrder`]; of an empty list too.
    pub fn from_list(list: &[VersionFrom]) -> Result<Self, VersionOrder> {
        let (first, later) = list.split_first().filter(|(first, _)| first.from_s == 0).ok_or(VersionOrder::First)?;
        let version = first.circuit_version;
        if !version.is_settlement() {
            return Err(VersionOrder::NotSettlement { version });
        }
        let mut versions = Self::new(version);
        later.iter().try_for_each(|next| versions.add(*next))?;
        Ok(versions)
    }

    /// Adds a later one.
    ///
    /// # Errors
    /// [`VersionOrder`]; nothing changed then.
    pub fn add(&mut self, next: VersionFrom) -> Result<(), VersionOrder> {
        let (version, last) = (next.circuit_version, self.last());
        if !version.is_settlement() {
            return Err(VersionOrder::NotSettlement { version });
        }
        if next.from_s <= last.from_s {
            return Err(VersionOrder::Time { version });
        }
        if version == last.circuit_version {
            return Err(VersionOrder::Same { version });
        }
        self.later.push(next);
        Ok(())
    }

    /// The last one that is decided.
    #[must_use]
    pub fn last(&self) -> VersionFrom {
        self.later.last().copied().unwrap_or(VersionFrom { circuit_version: self.first, from_s: 0 })
    }

    /// Every one, oldest first. The first counts from 0.
    #[must_use]
    pub fn all(&self) -> Vec<VersionFrom> {
        let first = VersionFrom { circuit_version: self.first, from_s: 0 };
        std::iter::once(first).chain(self.later.iter().copied()).collect()
    }

    /// The one of what begins at a time, unix seconds.
    #[must_use]
    pub fn at(&self, unix_s: u64) -> CircuitVersion {
        self.since(unix_s).circuit_version
    }

    /// The same, with the time from which it counts. A version may count twice, with another one between.
    #[must_use]
    pub fn since(&self, unix_s: u64) -> VersionFrom {
        let first = VersionFrom { circuit_version: self.first, from_s: 0 };
        self.later.iter().rfind(|later| later.from_s <= unix_s).copied().unwrap_or(first)
    }

    /// The one of a period.
    #[must_use]
    pub fn of_period(&self, first_interval: Interval, interval_length_s: u16) -> CircuitVersion {
        self.at(begins_s(first_interval, interval_length_s))
    }
}

/// When a period begins, unix seconds.
#[must_use]
pub fn begins_s(first_interval: Interval, interval_length_s: u16) -> u64 {
    u64::from(first_interval) * u64::from(interval_length_s)
}

/// The domains of a deployment: of chain, contract, and the version that a period has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    chain_id: u64,
    contract: [u8; 20],
    versions: Versions,
}

impl Domains {
    /// Of a deployment.
    #[must_use]
    pub const fn new(chain_id: u64, contract: [u8; 20], versions: Versions) -> Self {
        Self { chain_id, contract, versions }
    }

    /// The deployment's versions.
    #[must_use]
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Under a version.
    #[must_use]
    pub fn of_version(&self, version: CircuitVersion) -> Fr {
        instance::domain(self.chain_id, &self.contract, version.number())
    }

    /// What is signed or proved for a period.
    #[must_use]
    pub fn of_period(&self, first_interval: Interval, interval_length_s: u16) -> Fr {
        self.of_version(self.versions.of_period(first_interval, interval_length_s))
    }

    /// Is it the domain of any of the deployment's versions?
    #[must_use]
    pub fn is_of_deployment(&self, domain: Fr) -> bool {
        self.versions.all().iter().any(|one| self.of_version(one.circuit_version) == domain)
    }

    /// The domain of every period, if the deployment was never upgraded.
    #[must_use]
    pub fn only(&self) -> Option<Fr> {
        self.versions.later.is_empty().then(|| self.of_version(self.versions.first))
    }

    /// What a member's files are named by: the same before and after any upgrade, and for every version of a program.
    /// Nothing is signed under it as such.
    #[must_use]
    pub fn name(&self) -> Fr {
        self.of_version(CircuitVersion::V2)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NEXT: CircuitVersion = CircuitVersion::new(3);

    fn from(number: u64, from_s: u64) -> VersionFrom {
        VersionFrom { circuit_version: CircuitVersion::new(number), from_s }
    }

    #[test]
    fn a_period_has_the_version_of_its_beginning() {
        let mut versions = Versions::new(CircuitVersion::V2);
        versions.add(from(3, 7200)).unwrap();
        let of = |first_interval, length| versions.of_period(Interval(first_interval), length);
        assert_eq!(
            [of(0, 3600), of(1, 3600), of(2, 3600), of(3, 3600)],
            [CircuitVersion::V2, CircuitVersion::V2, NEXT, NEXT]
        );
        // A period that is under way at that time ends as it began.
        assert_eq!([of(7, 900), of(8, 900)], [CircuitVersion::V2, NEXT]);
        assert_eq!(of(1, 7201), NEXT);
        let domains = Domains::new(1, [7; 20], versions);
        assert_eq!(domains.of_period(Interval(1), 3600), instance::domain(1, &[7; 20], 2));
        assert_eq!(domains.of_period(Interval(2), 3600), instance::domain(1, &[7; 20], 3));
        assert!(domains.is_of_deployment(instance::domain(1, &[7; 20], 3)));
        assert!(!domains.is_of_deployment(instance::domain(1, &[7; 20], 4)));
        assert_eq!((domains.only(), domains.name()), (None, instance::domain(1, &[7; 20], 2)));
    }

    #[test]
    fn versions_follow_one_another() {
        let mut versions = Versions::new(CircuitVersion::V2);
        let refused = |versions: &Versions, next| versions.clone().add(next).unwrap_err();
        assert_eq!(refused(&versions, from(3, 0)), VersionOrder::Time { version: NEXT });
        assert_eq!(refused(&versions, from(2, 5)), VersionOrder::Same { version: CircuitVersion::V2 });
        let certificate = from(FIRST_CERTIFICATE, 5);
        let version = certificate.circuit_version;
        assert_eq!(refused(&versions, certificate), VersionOrder::NotSettlement { version });
        versions.add(from(3, 5)).unwrap();
        assert_eq!(refused(&versions, from(4, 5)), VersionOrder::Time { version: CircuitVersion::new(4) });
        // Back to the one before is a decision like any other.
        versions.add(from(2, 9)).unwrap();
        let list = versions.all();
        assert_eq!(list, [from(2, 0), from(3, 5), from(2, 9)]);
        assert_eq!(Versions::from_list(&list).unwrap(), versions);
        assert_eq!(Versions::from_list(&list[1..]), Err(VersionOrder::First));
        assert_eq!(Versions::from_list(&[]), Err(VersionOrder::First));
    }
}
