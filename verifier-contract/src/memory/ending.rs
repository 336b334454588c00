//! The fake's rules for the end of a community.

use super::rules::{State, require};
use crate::client::L1Error;
use crate::types::{CommunityEnd, RollupEffect, Stage, TxReceipt};

impl State {
    pub(super) fn end_of(&self, community: u32) -> CommunityEnd {
        self.ends.get(&community).copied().unwrap_or_default()
    }

    pub(super) fn return_bonds(&mut self, community: u32) -> Result<TxReceipt, L1Error> {
        require(self.frozen || self.end_of(community).stage == Stage::Closed, "NotFrozen")?;
        self.transact(|books, context| Ok(books.return_bonds(context, community)))
    }

    pub(super) fn announce_closing(&mut self, community: u32) -> Result<TxReceipt, L1Error> {
        require(self.communities.contains_key(&community), "UnknownCommunity")?;
        require(self.end_of(community).stage == Stage::Open, "AlreadyClosing")?;
        let closes_at = self.timestamp + self.config.terms.verifier_delay_s;
        self.ends.insert(community, CommunityEnd { stage: Stage::Closing, closes_at_s: closes_at, closed_after: 0 });
        Ok(self.mine_with(vec![RollupEffect::CommunityClosing { community, closes_at }]))
    }

    pub(super) fn close_community(&mut self, community: u32) -> Result<TxReceipt, L1Error> {
        require(self.communities.contains_key(&community), "UnknownCommunity")?;
        let mut end = self.end_of(community);
        require(end.stage != Stage::Closed, "CommunityIsClosed")?;
        require(end.stage != Stage::Open && end.closes_at_s <= self.timestamp, "NoticeNotOver")?;
        require(!self.frozen, "IsFrozen")?;
        let waiting = !self.books.queue(community).is_empty();
        let mut effects = Vec::new();
        if end.stage == Stage::Closing {
            self.require_places()?;
            end.stage = Stage::Ending;
            effects.push(RollupEffect::CommunityEnding { community });
        } else {
            require(!waiting, "RequestsWait")?;
        }
        if !waiting {
            let last_batch = self.batches.len() as u64;
            (end.stage, end.closed_after) = (Stage::Closed, last_batch);
            effects.push(RollupEffect::CommunityClosed { community, last_batch });
        }
        self.ends.insert(community, end);
        Ok(self.mine_with(effects))
    }
}
