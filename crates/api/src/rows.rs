//! Many at once: packets of a head-end, or operations, one a row, and an answer a row.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    problem::Problem,
    public::Taken,
    schema::{self, Hex32},
};
use gridveil_protocol::codec::Bytes32;

/// Rows of one request at most, unless the sequencer's configuration says another number.
pub const MOST_ROWS: usize = 1000;

/// What became of the rows, in their order. Every row that says `accepted`, `duplicate` or `late` is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rows {
    /// Rows that were taken: accepted, late, or there before.
    pub taken: usize,
    /// Rows that were refused.
    pub refused: usize,
    /// Each of them.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// Its number, from 1: the line of it, or which packet it is.
    pub row: usize,
    /// What became of it.
    #[serde(flatten)]
    pub answer: RowAnswer,
}

/// What became of a row: the confirmation that it would have got alone, or its refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RowAnswer {
    /// It is on disk.
    Taken {
        /// Identity of the packet or operation.
        #[schema(value_type = Hex32)]
        id: Bytes32,
        /// What became of it.
        status: Taken,
    },
    /// It was refused, and the others were not stopped.
    Refused {
        /// Why.
        problem: Problem,
    },
}

/// Rows of a list that grows, from somewhere on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Periods {
    /// Settled periods, oldest first.
    pub periods: Vec<crate::public::SettledPeriod>,
    /// What `after` has to be for those that follow; null at the end, where asking again with the last period's
    /// `first_interval` gives what has come since.
    pub next: Option<u32>,
}

/// `GET /v1/communities/{c}/tariffs`: from when on which tariff counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tariffs {
    /// Published tariffs, oldest first.
    pub tariffs: Vec<TariffFrom>,
    /// As in [`Periods`].
    pub next: Option<u32>,
}

/// A published tariff; its content is at `GET /v1/communities/{c}/tariffs/{first_interval}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TariffFrom {
    /// First interval of the first period it is for.
    pub first_interval: u32,
    /// Its commitment on L1.
    #[serde(with = "gridveil_protocol::field::hex_fr")]
    #[schema(value_type = schema::Element)]
    pub commitment: gridveil_protocol::field::Fr,
}

/// `GET /admin/v1/communities/{c}/batches`: batches of a community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Batches {
    /// Batches, oldest first.
    pub batches: Vec<crate::admin::BatchStatus>,
    /// As in [`Periods`], the number of a batch.
    pub next: Option<u64>,
}
