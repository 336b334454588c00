//! `gridveil meter`: a meter's files, packets and statements. It needs neither an L1 key nor a proof: the meter client has
//! it.

pub use gridveil_meter_client::cli::{Args, run};
