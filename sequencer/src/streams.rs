//! Places of streams of events ([`crate::api::events`]).

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{client::PerClient, config::Limits};

/// Streams of the operator.
const OWN: usize = 32;

/// How many there may be.
#[derive(Debug)]
pub struct Streams {
    pub(crate) all: Arc<Semaphore>,
    pub(crate) own: Arc<Semaphore>,
    pub(crate) clients: PerClient,
}

impl Streams {
    /// As many as the limits say.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.streams)),
            own: Arc::new(Semaphore::new(OWN)),
            clients: PerClient::new(limits.streams_of_client),
        }
    }
}
