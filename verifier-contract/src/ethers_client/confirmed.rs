//! Which block counts as final, and the rollup as it was then.

use ethers::providers::Middleware;
use ethers::types::BlockNumber;

use super::{EthersClient, request};
use crate::anvil::LOCAL_CHAIN_ID;
use crate::client::L1Error;

/// When a block counts as final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmations {
    /// When the node says so (`finalized`), or 64 blocks deep where it knows no such block.
    Finalized,
    /// With so many blocks after it; 0 is the latest block. A node keeps the states of some 128 blocks.
    Blocks(u64),
}

impl Confirmations {
    /// [`Confirmations::Finalized`]; on the local chain, which nothing reorganises, the latest block.
    #[must_use]
    pub const fn of_chain(chain_id: u64) -> Self {
        if chain_id == LOCAL_CHAIN_ID { Self::Blocks(0) } else { Self::Finalized }
    }
}

/// Neither a number of blocks nor `finalized`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither `finalized` nor a number of blocks from 0 to 128")]
pub struct NotConfirmations(String);

impl std::str::FromStr for Confirmations {
    type Err = NotConfirmations;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse::<u64>()) {
            ("finalized", _) => Ok(Self::Finalized),
            (_, Ok(blocks @ 0..=128)) => Ok(Self::Blocks(blocks)),
            _ => Err(NotConfirmations(text.chars().take(20).collect())),
        }
    }
}

impl EthersClient {
    /// The same client, for which other blocks count as final.
    #[must_use]
    pub fn with_confirmations(self, confirmations: Confirmations) -> Self {
        Self { confirmations, ..self }
    }

    /// The block that questions are about: the client's own, or the latest.
    pub(super) async fn latest(&self) -> Result<u64, L1Error> {
        match self.block {
            Some(block) => Ok(block),
            None => Ok(request(self.provider.get_block_number()).await?.as_u64()),
        }
    }

    /// The last block that no reorganisation reaches, as the node says.
    pub(super) async fn last_final(&self, latest: u64) -> u64 {
        /// Where a node does not say which block is final: this many before the latest.
        const DEEP: u64 = 64;
        let said = request(self.provider.get_block(BlockNumber::Finalized)).await.ok().flatten();
        let said = said.and_then(|block| block.number).map(|number| number.as_u64());
        said.unwrap_or_else(|| latest.saturating_sub(DEEP)).min(latest)
    }

    /// The last block that counts as final.
    pub(super) async fn final_block(&self) -> Result<u64, L1Error> {
        let latest = self.latest().await?;
        Ok(match self.confirmations {
            Confirmations::Blocks(blocks) => latest.saturating_sub(blocks),
            Confirmations::Finalized => self.last_final(latest).await,
        })
    }

    /// The same client, whose every question is about one block: the last one that counts as final, or a given one.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn pinned(&self, block: Option<u64>) -> Result<Self, L1Error> {
        let block = match block {
            Some(block) => block,
            None => self.final_block().await?,
        };
        Ok(Self { block: Some(block), ..self.clone() })
    }

    /// The rollup in the last block that counts as final, or in its own first one.
    pub(super) async fn at_final_block(&self) -> Result<Self, L1Error> {
        let block = self.final_block().await?.max(self.first_block().await?);
        Ok(Self { block: Some(block), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_blocks_or_the_word() {
        assert_eq!("finalized".parse(), Ok(Confirmations::Finalized));
        assert_eq!("12".parse(), Ok(Confirmations::Blocks(12)));
        for bad in ["", "safe", "-1", "129", "1.5"] {
            let error = bad.parse::<Confirmations>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{bad:?} is neither")), "{error}");
        }
        assert_eq!(Confirmations::of_chain(1), Confirmations::Finalized);
        assert_eq!(Confirmations::of_chain(LOCAL_CHAIN_ID), Confirmations::Blocks(0));
    }
}
