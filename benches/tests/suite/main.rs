//! The measurements themselves: labels, forms, and a leak that is seen
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used)]

mod common;
mod scale;
mod soak;
