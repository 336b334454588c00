//! What several commands share: text for people, what a command shows before it acts, options, a blocking L1 client, and
//! when a service ends.

pub mod chain;
pub mod details;
pub mod html;
pub mod keys;
pub mod options;
pub mod stop;
pub mod text;
