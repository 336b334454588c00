//! The settlement circuits that this program knows, by version.
//!
//! A [`SettlementSize`] exists only for a known version, so every size has a circuit. Keys, proofs and verifiers are
//! made from it without another check. A version is never edited. A new one is a line in [`known`], a folder of golden
//! files (`circuits/golden/vN`), and the code in which it differs from the one before
//! (`docs/adr/0010-circuit-versions.md`).

use gridveil_protocol::{
    operation::{Effect, effects_of},
    params::Shape,
    version::CircuitVersion,
};

use crate::settlement::SettlementCircuit;

/// Version 2 and one more constraint: another key, the same statement. For tests of an upgrade.
#[cfg(feature = "test-versions")]
pub const ONE_MORE: CircuitVersion = CircuitVersion::new(999_999);

/// No circuit of this program has that version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit version {version} is unknown to this program (it knows {})", listed())]
pub struct UnknownVersion {
    /// Asked for.
    pub version: CircuitVersion,
}

fn listed() -> String {
    known().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Every version there is a settlement circuit for, the oldest first.
#[must_use]
pub const fn known() -> &'static [CircuitVersion] {
    &[
        CircuitVersion::V2,
        #[cfg(feature = "test-versions")]
        ONE_MORE,
    ]
}

/// The operations of a version's circuit, in the order of its kind bits.
#[must_use]
pub fn operations_of(version: CircuitVersion) -> &'static [Effect] {
    #[cfg(feature = "test-versions")]
    if version == ONE_MORE {
        return effects_of(CircuitVersion::V2);
    }
    effects_of(version)
}

/// A settlement circuit's version and shape: what its keys are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettlementSize {
    version: CircuitVersion,
    shape: Shape,
}

impl SettlementSize {
    /// A shape in a version.
    ///
    /// # Errors
    /// [`UnknownVersion`].
    pub fn new(version: CircuitVersion, shape: Shape) -> Result<Self, UnknownVersion> {
        if known().contains(&version) { Ok(Self { version, shape }) } else { Err(UnknownVersion { version }) }
    }

    /// A shape in the version that new deployments begin with.
    #[must_use]
    pub const fn current(shape: Shape) -> Self {
        Self { version: CircuitVersion::CURRENT, shape }
    }

    /// Another shape in the same version.
    #[must_use]
    pub const fn with_shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Version.
    #[must_use]
    pub const fn version(&self) -> CircuitVersion {
        self.version
    }

    /// Shape.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }
}

/// The circuit that keys of a version and shape are made from.
///
/// # Errors
/// [`UnknownVersion`].
pub fn circuit_for(version: CircuitVersion, shape: Shape) -> Result<SettlementCircuit, UnknownVersion> {
    Ok(SettlementCircuit::template(SettlementSize::new(version, shape)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "test-versions")]
    #[test]
    fn the_test_version_has_one_row_more() {
        let circuits = [CircuitVersion::V2, ONE_MORE].map(|version| circuit_for(version, Shape::default()).unwrap());
        let [two, more] = circuits.each_ref().map(SettlementCircuit::trace);
        assert_eq!(more.next_row(), two.next_row() + 1);
        assert_ne!(more.layout_digest(), two.layout_digest());
        assert_eq!(circuits[1].instance(), circuits[0].instance());
    }

    /// An operation that a version adds has room in the operation slots' blocks: the builder refuses what has none.
    #[test]
    fn every_version_has_a_circuit_in_the_smallest_shape() {
        let shape = Shape::default();
        for version in known() {
            let circuit = circuit_for(*version, shape).unwrap();
            assert!(circuit.trace().next_row() < 1 << shape.k, "version {version}");
        }
    }

    #[test]
    fn an_unknown_version_is_named_and_has_no_circuit() {
        let shape = Shape::default();
        for version in [0, 1, 999, 1_000_001].map(CircuitVersion::new) {
            assert_eq!(SettlementSize::new(version, shape), Err(UnknownVersion { version }));
            let refused = circuit_for(version, shape).unwrap_err().to_string();
            assert!(refused.contains(&format!("circuit version {version} is unknown")), "{refused}");
        }
        assert_eq!(SettlementSize::new(CircuitVersion::V2, shape), Ok(SettlementSize::current(shape)));
        assert!(known().is_sorted() && known().contains(&CircuitVersion::CURRENT));
    }
}
