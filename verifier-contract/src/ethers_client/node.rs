//! One node over HTTP. What it says of itself, and what the transport says of it, is told without its address: that may
//! hold a key, and an error ends in logs, on terminals and on pages of health.

use ethers::providers::{Http, HttpClientError, JsonRpcClient, JsonRpcError};
use serde::{Serialize, de::DeserializeOwned};

use super::nodes::NodesError;
use crate::address::Hidden;
use crate::client::L1Error;

/// A node.
pub(super) struct Node {
    http: Http,
    hidden: Hidden,
}

impl Node {
    /// At an address.
    ///
    /// # Errors
    /// [`L1Error::Config`], without the address.
    pub(super) fn new(url: &str) -> Result<Self, L1Error> {
        let http: Http = url.parse().map_err(|_| L1Error::Config("the node's URL does not parse"))?;
        Ok(Self { hidden: Hidden::of(url), http })
    }

    /// Asks it.
    ///
    /// # Errors
    /// [`NodesError::Node`] for its refusal, [`NodesError::None`] if there is no answer.
    pub(super) async fn request<T, R>(&self, method: &str, params: T) -> Result<R, NodesError>
    where
        T: std::fmt::Debug + Serialize + Send + Sync,
        R: DeserializeOwned + Send,
    {
        self.http.request(method, params).await.map_err(|error| self.told(error))
    }

    fn told(&self, error: HttpClientError) -> NodesError {
        match error {
            HttpClientError::JsonRpcError(JsonRpcError { code, message, data }) => {
                NodesError::Node(JsonRpcError { code, message: self.hidden.out_of(&message), data })
            }
            HttpClientError::ReqwestError(error) => {
                let error = error.without_url();
                let mut cause: &dyn std::error::Error = &error;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                NodesError::None(self.hidden.told(&format!("the node does not answer: {cause}")))
            }
            // Not its text: a page of a proxy may repeat the address.
            HttpClientError::SerdeJson { err, .. } => {
                NodesError::None(self.hidden.told(&format!("the node answers something else than JSON-RPC: {err}")))
            }
        }
    }
}
