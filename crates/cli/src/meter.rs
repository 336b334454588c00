//! `gridveil meter`: a meter's files, packets and statements. It needs neither an L1 key nor a proof, so all of it is
//! in the meter client.

pub use gridveil_meter_client::cli::{Args, run};
