//! The clients, each as its documentation shows it.

use std::net::SocketAddr;

use bytes::Bytes;
use fred::prelude::{Builder, ClientLike, Config, KeysInterface, Server, ServerConfig, TcpConfig};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncCommands, AsyncConnectionConfig, IntoConnectionInfo};

use super::TASKS;
use super::resp::{self, Client};
use crate::runtime::Result;

/// What the work needs of a client.
pub(super) trait Store: Clone + Send + Sync + 'static {
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<()>> + Send;
    fn get(&self, key: &str) -> impl Future<Output = Result<impl AsRef<[u8]> + Send>> + Send;
}

pub(super) async fn ours(server: SocketAddr) -> Result<Client> {
    let (sender, receiver) = rebelay::tokio::connect(server, resp::config()).await?;
    sender.wait_connected().await?;
    let (client, reading) = Client::new(sender, receiver);
    tokio::spawn(reading);
    Ok(client)
}

impl Store for Client {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.set(key.as_bytes(), value).await?)
    }

    async fn get(&self, key: &str) -> Result<impl AsRef<[u8]> + Send> {
        Ok(self.get(key.as_bytes()).await?.ok_or("there is no value")?)
    }
}

pub(super) async fn redis_rs(server: SocketAddr) -> Result<MultiplexedConnection> {
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = format!("redis://{server}").into_connection_info()?.set_tcp_settings(tcp);
    // A timer for every request would be work that the others do not do; and there are more
    // tasks than the default queue has places.
    let config =
        AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(TASKS);
    let client = redis::Client::open(info)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

impl Store for MultiplexedConnection {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(AsyncCommands::set(&mut self.clone(), key, value).await?)
    }

    async fn get(&self, key: &str) -> Result<impl AsRef<[u8]> + Send> {
        let value: Vec<u8> = AsyncCommands::get(&mut self.clone(), key).await?;
        Ok(value)
    }
}

pub(super) async fn fred(server: SocketAddr) -> Result<fred::prelude::Client> {
    let server = Server::new(server.ip().to_string(), server.port());
    let config = Config { server: ServerConfig::Centralized { server }, ..Config::default() };
    let client = Builder::from_config(config)
        .with_connection_config(|config| {
            config.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        })
        .build()?;
    client.init().await?;
    Ok(client)
}

impl Store for fred::prelude::Client {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(KeysInterface::set(self, key, value, None, None, false).await?)
    }

    async fn get(&self, key: &str) -> Result<impl AsRef<[u8]> + Send> {
        let value: Bytes = KeysInterface::get(self, key).await?;
        Ok(value)
    }
}
