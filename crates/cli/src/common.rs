//! What several commands use: text for people, what is shown before acting, options, and L1 from where nothing is async.

pub mod chain;
pub mod details;
pub mod options;
pub mod text;
