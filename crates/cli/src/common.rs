//! What several commands share: text for people, what a command shows before it acts, options, and a blocking L1
//! client.

pub mod chain;
pub mod details;
pub mod options;
pub mod text;
