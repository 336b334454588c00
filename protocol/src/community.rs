//! One community's state, and the commitments above it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    account::Account,
    field::{Fr, hex_fr},
    header::Header,
    params::{CERTIFICATES_DEPTH, Shape},
    poseidon::hash4,
    tree::{SparseTree, dense_root},
};
use ark_ff::AdditiveGroup;

/// Everything a community node commits to, and the certificate roots appended so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Community {
    /// Index in the state tree, below 4^8.
    pub index: u32,
    /// Shape of its settlements.
    #[serde(serialize_with = "shape_name", deserialize_with = "shape_from_name")]
    pub shape: Shape,
    /// Header.
    pub header: Header,
    /// N accounts in slot order.
    pub accounts: Vec<Account>,
    /// Append-only tree of notes roots.
    #[serde(serialize_with = "write_certificates", deserialize_with = "read_certificates")]
    pub certificates: SparseTree,
}

fn shape_name<S: Serializer>(shape: &Shape, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(shape.name)
}

fn shape_from_name<'de, D: Deserializer<'de>>(d: D) -> Result<Shape, D::Error> {
    let name = String::deserialize(d)?;
    Shape::by_name(&name).ok_or_else(|| D::Error::custom(format!("unknown shape {name}")))
}

#[derive(Serialize, Deserialize)]
struct NotesRoot(#[serde(with = "hex_fr")] Fr);

fn write_certificates<S: Serializer>(tree: &SparseTree, s: S) -> Result<S::Ok, S::Error> {
    let roots: Vec<NotesRoot> =
        (0..).map(|i| tree.leaf(i)).take_while(|root| *root != Fr::ZERO).map(NotesRoot).collect();
    roots.serialize(s)
}

fn read_certificates<'de, D: Deserializer<'de>>(d: D) -> Result<SparseTree, D::Error> {
    let roots = Vec::<NotesRoot>::deserialize(d)?;
    // Zero means that nothing was appended. A written list ends before the first zero, so a list that is read must not
    // have one.
    if roots.iter().any(|root| root.0 == Fr::ZERO) {
        return Err(D::Error::custom("a notes root is zero"));
    }
    let mut tree = SparseTree::new(CERTIFICATES_DEPTH);
    tree.set_all((0u64..).zip(roots.iter().map(|root| root.0)));
    Ok(tree)
}

impl Community {
    /// Leaves in slot order.
    #[must_use]
    pub fn leaves(&self) -> Vec<Fr> {
        self.accounts.iter().map(Account::leaf).collect()
    }

    /// Root of the dense members tree.
    #[must_use]
    pub fn members_root(&self) -> Fr {
        dense_root(&self.leaves())
    }

    /// The community node.
    #[must_use]
    pub fn node(&self) -> Fr {
        node(self.header.leaf(), self.members_root(), self.certificates.root())
    }
}

/// `P(header_leaf, members_root, certificates_root, 0)`.
#[must_use]
pub fn node(header_leaf: Fr, members_root: Fr, certificates_root: Fr) -> Fr {
    hash4([header_leaf, members_root, certificates_root, Fr::ZERO])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Recipe, settlement},
        market::Mechanism,
        params::SHAPES,
    };

    /// Roots behind a zero would be lost when the community is written again.
    #[test]
    fn a_zero_among_the_notes_roots_is_refused() {
        let recipe = Recipe { shape: SHAPES[0], seed: 1, mechanism: Mechanism::Auction, used: 4 };
        let community = settlement(&recipe).unwrap().community;
        let text = serde_json::to_string(&community).unwrap();
        assert_eq!(serde_json::from_str::<Community>(&text).unwrap(), community);
        let (before, _) = text.split_once("\"certificates\":").unwrap();
        let zero = format!("\"0x{}\"", "00".repeat(32));
        let one = format!("\"0x{}01\"", "00".repeat(31));
        let with = |roots: &str| serde_json::from_str::<Community>(&format!("{before}\"certificates\":[{roots}]}}"));
        assert!(with(&one).is_ok());
        assert!(with(&zero).is_err());
        assert!(with(&format!("{one},{zero},{one}")).is_err());
    }
}
