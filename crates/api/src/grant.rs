//! Grants: which totals of a community a regulator or an auditor may read, signed by the community's meter data manager
//! (`docs/reference/roles.md`, Grants).
//!
//! A grant is for whom it names. Who has its file and not that person's credential has nothing.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field::{Fr, reduce, shifted},
    header::Header,
    hex::hex_bytes,
    opening::PeriodOpening,
    poseidon::DomainTag,
    schnorr::{self, PublicKey, SchnorrError, SecretKey, Signature},
    units::Interval,
};
use serde::{Deserialize, Serialize};

/// Header of a request that carries a grant: the JSON of a [`SignedGrant`], in hex digits.
pub const GRANT_HEADER: &str = "gridveil-grant";
/// Longest name of an issuer or a subject, bytes.
pub const MOST_NAME_BYTES: usize = 256;
/// Longest JSON of a signed grant, bytes.
pub const MOST_GRANT_BYTES: usize = 4096;

/// Separates a grant from everything else that a key signs as a request: no request of a member has as many elements.
const OF_GRANT: &[u8] = b"gridveil grant v1";
const OF_REVOCATION: &[u8] = b"gridveil revocation v1";

/// What a grant opens. Nothing else of a community is in an answer to who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GrantField {
    /// Both headers with all their elements and salts: the one field that can be compared with L1.
    Header = 0,
    /// Energy taken from the network, Wh.
    Import = 1,
    /// Energy fed in, Wh.
    Export = 2,
    /// Energy traded locally, Wh.
    Traded = 3,
    /// Certificates issued, Wh.
    Issued = 4,
    /// Certificates retired by local trade, Wh.
    Retired = 5,
    /// Certificates outstanding as notes, Wh.
    Outstanding = 6,
    /// Sum of all debts, nano.
    Debt = 7,
    /// Packets that were substituted.
    SubstitutedPackets = 8,
    /// Energy of substituted packets, Wh.
    SubstitutedWh = 9,
    /// Substituted packets that were replaced since.
    Corrected = 10,
    /// Supplier account, nano.
    SupplierAccount = 11,
    /// Fee account, nano.
    FeeAccount = 12,
    /// Reserve, nano.
    Reserve = 13,
}

impl GrantField {
    /// Every field, in order.
    pub const ALL: [Self; 14] = [
        Self::Header,
        Self::Import,
        Self::Export,
        Self::Traded,
        Self::Issued,
        Self::Retired,
        Self::Outstanding,
        Self::Debt,
        Self::SubstitutedPackets,
        Self::SubstitutedWh,
        Self::Corrected,
        Self::SupplierAccount,
        Self::FeeAccount,
        Self::Reserve,
    ];

    /// Name, as in files and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Import => "import",
            Self::Export => "export",
            Self::Traded => "traded",
            Self::Issued => "issued",
            Self::Retired => "retired",
            Self::Outstanding => "outstanding",
            Self::Debt => "debt",
            Self::SubstitutedPackets => "substituted_packets",
            Self::SubstitutedWh => "substituted_wh",
            Self::Corrected => "corrected",
            Self::SupplierAccount => "supplier_account",
            Self::FeeAccount => "fee_account",
            Self::Reserve => "reserve",
        }
    }

    /// The field of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// Its value in a header; `None` for the header as a whole.
    #[must_use]
    pub const fn value(self, header: &Header) -> Option<u64> {
        let totals = &header.totals;
        Some(match self {
            Self::Header => return None,
            Self::Import => totals.import.0,
            Self::Export => totals.export.0,
            Self::Traded => totals.traded.0,
            Self::Issued => totals.issued.0,
            Self::Retired => totals.retired.0,
            Self::Outstanding => totals.outstanding.0,
            Self::Debt => totals.debt,
            Self::SubstitutedPackets => totals.substituted_packets,
            Self::SubstitutedWh => totals.substituted_wh.0,
            Self::Corrected => totals.corrected,
            Self::SupplierAccount => header.supplier_account,
            Self::FeeAccount => header.fee_account,
            Self::Reserve => header.reserve,
        })
    }
}

/// What is granted, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Random.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 16],
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Community index.
    pub community: u32,
    /// First interval of the first period.
    pub from: Interval,
    /// First interval of the last period.
    pub to: Interval,
    /// What of it.
    pub fields: BTreeSet<GrantField>,
    /// Unix seconds from which on it opens nothing.
    pub expires_s: u64,
    /// Who says who somebody is: `iss` of the grantee's tokens.
    pub issuer: String,
    /// The grantee: `sub` of its tokens.
    pub subject: String,
}

/// With the meter data manager's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedGrant {
    /// What is granted.
    pub grant: Grant,
    /// By the key in the community's header.
    pub signature: Signature,
}

fn halves(hash: &blake3::Hash) -> [Fr; 2] {
    let (high, low) = hash.as_bytes().split_at(16);
    [reduce(high), reduce(low)]
}

impl Grant {
    /// The grantee as the sequencer knows it.
    #[must_use]
    pub fn grantee(issuer: &str, subject: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key("gridveil grantee v1");
        hasher.update(&(issuer.len() as u64).to_be_bytes()).update(issuer.as_bytes()).update(subject.as_bytes());
        hasher.finalize()
    }

    /// The signed elements: 8.
    #[must_use]
    pub fn message(&self) -> [Fr; 8] {
        let fields = self.fields.iter().fold(0u64, |bits, field| bits | 1 << *field as u8);
        let place = Fr::from(u64::from(self.community))
            + shifted(u64::from(self.from), 32)
            + shifted(u64::from(self.to), 64)
            + shifted(fields, 96);
        let [high, low] = halves(&Self::grantee(&self.issuer, &self.subject));
        let (id, contract) = (reduce(&self.id), reduce(&self.contract));
        [reduce(OF_GRANT), Fr::from(self.chain_id), contract, place, Fr::from(self.expires_s), id, high, low]
    }

    /// Signs with the meter data manager's present key.
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn sign(self, mdm: &SecretKey) -> Result<SignedGrant, SchnorrError> {
        let signature = mdm.sign(DomainTag::Request, &self.message())?;
        Ok(SignedGrant { grant: self, signature })
    }
}

impl SignedGrant {
    /// Is it signed by this meter data manager?
    ///
    /// # Errors
    /// [`SchnorrError`].
    pub fn verify(&self, mdm: &PublicKey) -> Result<(), SchnorrError> {
        schnorr::verify(DomainTag::Request, mdm, &self.grant.message(), &self.signature)
    }
}

/// A grant that is taken back, by the community's meter data manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Of the grant.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 16],
    /// By the key in the community's header.
    pub signature: Signature,
}

impl Revocation {
    /// The signed elements: 6, where a request of a member has 5.
    #[must_use]
    pub fn message(chain_id: u64, contract: &[u8; 20], community: u32, id: &[u8; 16]) -> [Fr; 6] {
        let (of, n) = (reduce(OF_REVOCATION), Fr::from);
        [of, n(chain_id), reduce(contract), n(u64::from(community)), reduce(id), n(0)]
    }

    /// Signs with the meter data manager's present key.
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn sign(grant: &Grant, mdm: &SecretKey) -> Result<Self, SchnorrError> {
        let message = Self::message(grant.chain_id, &grant.contract, grant.community, &grant.id);
        Ok(Self { id: grant.id, signature: mdm.sign(DomainTag::Request, &message)? })
    }

    /// Is it signed by this meter data manager, for this community?
    ///
    /// # Errors
    /// [`SchnorrError`].
    pub fn verify(
        &self,
        chain_id: u64,
        contract: &[u8; 20],
        community: u32,
        mdm: &PublicKey,
    ) -> Result<(), SchnorrError> {
        let message = Self::message(chain_id, contract, community, &self.id);
        schnorr::verify(DomainTag::Request, mdm, &message, &self.signature)
    }
}

/// One field of a period: before its batch and after it. Totals are over a community's life: the difference is the period's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedTotal {
    /// Which.
    pub field: GrantField,
    /// Before; `None` if the community began with this batch.
    pub before: Option<u64>,
    /// After.
    pub after: u64,
}

/// The granted fields of a period, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedTotals {
    /// Community index.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// In the order of [`GrantField::ALL`].
    pub totals: Vec<GrantedTotal>,
}

impl GrantedTotals {
    /// Of an opening, these fields alone.
    #[must_use]
    pub fn of(opening: &PeriodOpening, fields: &BTreeSet<GrantField>) -> Self {
        let one = |field: &GrantField| {
            let before = opening.before.as_ref().and_then(|header| field.value(header));
            Some(GrantedTotal { field: *field, before, after: field.value(&opening.after)? })
        };
        Self {
            community: opening.community,
            first_interval: opening.first_interval,
            totals: fields.iter().filter_map(one).collect(),
        }
    }
}

/// Confirmation of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Of the grant.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 16],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            id: [7; 16],
            chain_id: 31_337,
            contract: [5; 20],
            community: 5,
            from: Interval(420_000),
            to: Interval(420_048),
            fields: [GrantField::Import, GrantField::Debt].into(),
            expires_s: 2_000_000_000,
            issuer: "https://id.example".to_owned(),
            subject: "auditor-1".to_owned(),
        }
    }

    #[test]
    fn a_grant_holds_for_what_it_says_alone() {
        let mdm = SecretKey::from_seed(&[3; 64]);
        let signed = grant().sign(&mdm).unwrap();
        assert_eq!(signed.verify(&mdm.public()), Ok(()));
        assert!(signed.verify(&SecretKey::from_seed(&[4; 64]).public()).is_err());
        let edits: [fn(&mut Grant); 10] = [
            |g| g.id[0] ^= 1,
            |g| g.chain_id += 1,
            |g| g.contract[19] ^= 1,
            |g| g.community += 1,
            |g| g.from = Interval(g.from.0 - 24),
            |g| g.to = Interval(g.to.0 + 24),
            |g| _ = g.fields.insert(GrantField::Header),
            |g| g.expires_s += 1,
            |g| g.issuer.push('x'),
            |g| g.subject.push('x'),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut forged = signed.clone();
            edit(&mut forged.grant);
            assert!(forged.verify(&mdm.public()).is_err(), "{number}");
        }
        // Nothing moves from the issuer's name into the subject's.
        assert_ne!(Grant::grantee("ab", "c"), Grant::grantee("a", "bc"));
    }

    #[test]
    fn a_revocation_holds_for_its_community_alone() {
        let mdm = SecretKey::from_seed(&[3; 64]);
        let revocation = Revocation::sign(&grant(), &mdm).unwrap();
        assert_eq!(revocation.verify(31_337, &[5; 20], 5, &mdm.public()), Ok(()));
        assert!(revocation.verify(31_337, &[5; 20], 6, &mdm.public()).is_err());
        assert!(revocation.verify(1, &[5; 20], 5, &mdm.public()).is_err());
        assert!(Revocation { id: [8; 16], ..revocation }.verify(31_337, &[5; 20], 5, &mdm.public()).is_err());
    }

    #[test]
    fn every_field_has_its_name() {
        for field in GrantField::ALL {
            assert_eq!(GrantField::by_name(field.name()), Some(field));
            assert_eq!(serde_json::to_value(field).unwrap(), field.name());
        }
    }
}
