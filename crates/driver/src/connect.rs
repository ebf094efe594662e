//! Opening a connection: checks everything, starts the driver, waits as configured.

use std::future::poll_fn;
use std::sync::Arc;

use rebelay_core::{Connection, FirstConnect, Instant};

use crate::config::{Config, ConnectError, Settings};
use crate::drive::Driver;
use crate::endpoint::Endpoint;
use crate::handle::Handle;
use crate::receiver::Receiver;
use crate::runtime::Runtime;
use crate::sender::Sender;
use crate::shared::Shared;

/// Opens a connection to `endpoint` on `runtime`: what an adapter's `connect` calls. `spawn`
/// gets the driver, to run it until it ends.
///
/// # Errors
/// A setting outside its range, before anything is dialled; with [`FirstConnect::FailFast`], why
/// the first round of attempts failed.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn connect<E>(
    runtime: impl Runtime,
    endpoint: E,
    config: Config,
    spawn: impl FnOnce(Driver),
) -> Result<(Sender, Receiver), ConnectError>
where
    E: TryInto<Endpoint>,
    ConnectError: From<E::Error>,
{
    let lazy = config.connection.first_connect == FirstConnect::Lazy;
    let (sender, receiver, driver) = open(runtime, endpoint.try_into()?, config)?;
    spawn(driver);
    if !lazy {
        let shared = receiver.shared();
        let up = poll_fn(|cx| shared.poll_first_item(cx)).await;
        let endpoint = || shared.endpoint.clone();
        up.map_err(|reason| ConnectError::Failed { endpoint: endpoint(), reason })?;
    }
    Ok((sender, receiver))
}

/// The handles and the driver of a new connection, which nobody runs yet.
///
/// # Errors
/// A setting outside its range.
pub fn open(
    runtime: impl Runtime,
    endpoint: Endpoint,
    config: Config,
) -> Result<(Sender, Receiver, Driver), ConnectError> {
    config.validate()?;
    let settings = Settings::of(config);
    let machine = Connection::new(Arc::clone(&settings.connection), seed(), Instant::ZERO)?;
    let shared = Arc::new(Shared::new(machine, Box::new(runtime), endpoint, settings));
    let handle = Handle::new(Arc::clone(&shared));
    let (sender, receiver) = (Sender::new(handle.clone()), Receiver::new(handle));
    Ok((sender, receiver, Driver::new(shared)))
}

/// A seed that differs between connections and between processes: hash keys are random.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
