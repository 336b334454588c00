//! The opening published at deployment: which community nodes the genesis root holds.
//!
//! ```json
//! {"communities": [{"community": 0, "node": "0x…"}]}
//! ```

use std::{io::Read, path::Path};

use gridveil_protocol::field::{Fr, hex_fr};
use serde::{Deserialize, Serialize};

const MAX_FILE_BYTES: u64 = 16 << 20;

/// Why there is no genesis list.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// File system.
    #[error("{0}")]
    Io(std::io::ErrorKind),
    /// Not the format above.
    #[error(
        "no genesis file: it is not {{\"communities\": [{{\"community\": 0, \"node\": \"0x…\"}}]}}: line {line}, column {column}"
    )]
    Format {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Too large.
    #[error("more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Nodes, in any order.
    pub communities: Vec<Node>,
}

/// One community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Index.
    pub community: u32,
    /// Community node.
    #[serde(with = "hex_fr")]
    pub node: Fr,
}

impl Genesis {
    /// Reads the file.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn read(path: &Path) -> Result<Self, GenesisError> {
        let file = std::fs::File::open(path).map_err(|e| GenesisError::Io(e.kind()))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| GenesisError::Io(e.kind()))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(GenesisError::TooLarge);
        }
        serde_json::from_slice(&bytes).map_err(|e| GenesisError::Format { line: e.line(), column: e.column() })
    }

    /// As [`crate::audit`] takes it.
    #[must_use]
    pub fn nodes(&self) -> Vec<(u32, Fr)> {
        self.communities.iter().map(|n| (n.community, n.node)).collect()
    }
}
