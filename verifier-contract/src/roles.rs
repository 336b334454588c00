//! Who may do what on L1.

use serde::{Deserialize, Serialize};

use crate::types::Word;

/// A role of the registry (docs/spec/l1.md, "Roles").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Grants and revokes roles.
    Admin,
    /// Settles.
    Operator,
    /// The meter data manager: registers communities.
    Mdm,
    /// Publishes tariffs.
    TariffAuthority,
    /// May pause deposits.
    Regulator,
    /// Registers, announces and retires verifiers.
    Upgrader,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Operator, Self::Mdm, Self::TariffAuthority, Self::Regulator, Self::Upgrader];

    /// Name, as in files and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Mdm => "mdm",
            Self::TariffAuthority => "tariff-authority",
            Self::Regulator => "regulator",
            Self::Upgrader => "upgrader",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Identifier on L1: `DEFAULT_ADMIN_ROLE`, or the keccak256 of the constant's name.
    #[must_use]
    pub fn id(self) -> Word {
        let constant = match self {
            Self::Admin => return Word::default(),
            Self::Operator => "OPERATOR_ROLE",
            Self::Mdm => "MDM_ROLE",
            Self::TariffAuthority => "TARIFF_ROLE",
            Self::Regulator => "REGULATOR_ROLE",
            Self::Upgrader => "UPGRADER_ROLE",
        };
        ethers::utils::keccak256(constant)
    }

    /// The role of that identifier.
    #[must_use]
    pub fn by_id(id: &Word) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == *id)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
