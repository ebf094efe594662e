//! What a connection is told before it starts: plain data, documented defaults, `validate()`.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::outcome::Epoch;

/// How a connection decides. Every field has a default; change what you need.
///
/// ```
/// use rebelay_core::{Config, Resend};
///
/// let mut config = Config::default();
/// config.resend = Resend::Unacked;
/// config.max_queued_messages = 64;
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What the first connect does. Default: [`FirstConnect::Wait`].
    pub first_connect: FirstConnect,
    /// Which messages go out again after a disconnect, unless [`SendOptions`] says otherwise.
    /// Default: [`Resend::Incomplete`].
    pub resend: Resend,
    /// On how many epochs a message may be begun before it is given up instead of going back to
    /// be sent again. Default `u32::MAX`: no limit; 1 to `u32::MAX`.
    pub max_attempts: u32,
    /// How many messages a second go out again at the start of an epoch, so that a server that
    /// has just come back is not flooded; newer ones wait behind them. Default `u32::MAX`: as
    /// many as the socket takes; 1 to `u32::MAX`.
    pub max_resent_per_second: u32,
    /// What the peer's FIN means. Default: [`PeerFin::Leave`].
    pub peer_fin: PeerFin,
    /// What a send meets when the outbox is full. Default: [`Overflow::Wait`].
    pub overflow: Overflow,
    /// Messages that may be admitted and not finished with, the ones waiting for an
    /// acknowledgement included. Default 1,024; 1 to 16,777,216.
    pub max_queued_messages: usize,
    /// Bytes of those messages. Default 8 MiB; 1 to 1 TiB. A longer message is refused.
    pub max_queued_bytes: usize,
    /// Bytes received and not yet taken; when they are reached the socket is not read.
    /// Default 256 KiB; 4 KiB to 1 GiB.
    pub max_received_bytes: usize,
    /// Events kept for whoever reads them; the oldest make room. Default 256; 1 to 65,536.
    pub max_events: usize,
    /// Time for one lookup of the endpoint. Default 5 s; 1 ms to 1 day.
    pub resolve_timeout: Duration,
    /// Time for one dial of one address. Default 5 s; 1 ms to 1 day.
    pub connect_timeout: Duration,
    /// Time for the handshake of one epoch. Default 5 s; 1 ms to 1 day.
    pub handshake_timeout: Duration,
    /// How long bytes may wait while the socket takes none before the connection is given up.
    /// Default 35 s; 1 ms to 1 day. The operating system's own limit (`TCP_USER_TIMEOUT`) should
    /// be shorter: of a connection that it ended it can prove what never left, of one that is
    /// left while it lives it cannot.
    pub write_stall_timeout: Duration,
    /// How long a connection that has failed or that the peer has left may take to say the rest,
    /// before it counts as down: after a failed write, the bytes that arrived before it (a full
    /// inbox can delay them); after the peer's FIN, what became of messages with
    /// [`Resend::Untransmitted`]. Default 1 s; 1 ms to 1 day.
    pub read_out_timeout: Duration,
    /// How long [`close`](crate::Connection::close) may wait for a half-written message and for
    /// the peer's FIN. Default 100 ms; 1 ms to 100 ms.
    pub close_timeout: Duration,
    /// Whether each epoch starts with a handshake that the driver runs before any message.
    /// Default: no.
    pub handshake: bool,
    /// The waits between rounds of attempts.
    pub backoff: BackoffConfig,
}

/// The waits between rounds of attempts: `initial × factorⁿ`, at most `max`, drawn by `jitter`,
/// never below `floor`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackoffConfig {
    /// The first ceiling. Default 100 ms; 1 ms to 1 day.
    pub initial: Duration,
    /// What each round multiplies the ceiling by. Default 2; 1 to 1,000.
    pub factor: u32,
    /// The highest ceiling. Default 30 s; `initial` to 1 day.
    pub max: Duration,
    /// The shortest wait, whatever is drawn. Default 10 ms; 1 ms to `initial`.
    pub floor: Duration,
    /// How the wait is drawn below the ceiling. Default: [`Jitter::Full`].
    pub jitter: Jitter,
    /// How long a connection must have been up for the ceiling to start again.
    /// Default 10 s; 0 to 1 day.
    pub reset_after: Duration,
}

/// How a wait is drawn below its ceiling.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Anywhere from the floor to the ceiling.
    Full,
    /// The ceiling itself: predictable, and a herd comes back as one.
    None,
}

/// What the first connect does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FirstConnect {
    /// Dial at once and keep trying until it works.
    Wait,
    /// Dial at once; if the first round fails, close. Later outages are retried.
    FailFast,
    /// Dial when the first message is sent, or when asked to.
    Lazy,
}

/// Which messages go out again, from their byte 0, on the next epoch. One that went nowhere yet
/// is never lost to a disconnect: under every policy it waits for the next epoch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Resend {
    /// None of which a byte was handed to the socket: at most one attempt.
    Never,
    /// Those that the socket did not take whole: at most once, and nothing is kept for it.
    Incomplete,
    /// Those too that the socket took whole, of which the operating system proves that their last
    /// byte never left this host: at most once. A message stays in the outbox, and counts against
    /// its bounds, until it is known to have been transmitted. After the peer's FIN the verdict is
    /// awaited for [`read_out_timeout`](Config::read_out_timeout). Where there is no such
    /// [`Evidence`](crate::Evidence) this is [`Incomplete`](Self::Incomplete): on other systems
    /// than Linux, on streams that are not TCP sockets, and when a connection is left that could
    /// still transmit (a stall, a reconnect that was asked for, closing).
    Untransmitted,
    /// All that were not acknowledged with [`ack_through`](crate::Connection::ack_through): at
    /// least once. A message stays in the outbox, and counts against its bounds, until then.
    Unacked,
}

/// What the peer's FIN means: it will send nothing more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PeerFin {
    /// It is the end of the epoch: most peers have closed altogether, and what is written to them
    /// is lost.
    Leave,
    /// The peer reads on: [`Item::PeerFinished`](crate::Item::PeerFinished) tells the reader, and
    /// messages go out on this epoch until a write fails or it is ended from this side. Nothing
    /// is read any more; so that the connection has died is noticed by the next write, or by
    /// the evidence for messages with [`Resend::Untransmitted`] that are out.
    KeepWriting,
}

/// What a send meets when the outbox is full.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The message is handed back as [`Full`](crate::Refusal::Full); an asynchronous send waits
    /// for room.
    Wait,
    /// The message is handed back as [`Full`](crate::Refusal::Full).
    Reject,
    /// The oldest messages that were never written make room, and get their outcome.
    DropOldest,
    /// The message itself is dropped: it gets a ticket, and at once its outcome.
    DropNewest,
}

/// What one send may ask for differently from the rest.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// The resend policy of this message; `None`: the connection's.
    pub resend: Option<Resend>,
    /// How long after its admission the message expires, unless a byte of it is out on the
    /// current epoch by then: that is only reported
    /// ([`Event::DeadlinePassed`](crate::Event::DeadlinePassed)), and the message expires if it
    /// would have to be sent again. `None`: never.
    pub expires_after: Option<Duration>,
    /// The only epoch that the message may go out on: it is refused if that is not the current
    /// one, and fails with it. `None`: any.
    pub epoch: Option<Epoch>,
}

impl SendOptions {
    /// Options that ask for `resend`.
    pub const fn resend(resend: Resend) -> Self {
        Self { resend: Some(resend), expires_after: None, epoch: None }
    }

    /// Options for a message that may go out on `epoch` alone.
    pub const fn pinned_to(epoch: Epoch) -> Self {
        Self { resend: None, expires_after: None, epoch: Some(epoch) }
    }

    /// Options for a message that expires `limit` after its admission.
    pub const fn expires_after(limit: Duration) -> Self {
        Self { resend: None, expires_after: Some(limit), epoch: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first_connect: FirstConnect::Wait,
            resend: Resend::Incomplete,
            max_attempts: u32::MAX,
            max_resent_per_second: u32::MAX,
            peer_fin: PeerFin::Leave,
            overflow: Overflow::Wait,
            max_queued_messages: 1_024,
            max_queued_bytes: 8 << 20,
            max_received_bytes: 256 << 10,
            max_events: 256,
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            write_stall_timeout: Duration::from_secs(35),
            read_out_timeout: Duration::from_secs(1),
            close_timeout: MAX_CLOSE,
            handshake: false,
            backoff: BackoffConfig::default(),
        }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            factor: 2,
            max: Duration::from_secs(30),
            floor: Duration::from_millis(10),
            jitter: Jitter::Full,
            reset_after: Duration::from_secs(10),
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const MILLI: Duration = Duration::from_millis(1);
const MAX_CLOSE: Duration = Duration::from_millis(100);

impl Config {
    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// The first field outside its range, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let backoff = &self.backoff;
        let tebi = usize::try_from(1_u64 << 40).unwrap_or(usize::MAX);
        ConfigError::require("max_attempts", self.max_attempts, 1, u32::MAX)?;
        let rate = self.max_resent_per_second;
        ConfigError::require("max_resent_per_second", rate, 1, u32::MAX)?;
        ConfigError::require("max_queued_messages", self.max_queued_messages, 1, 1 << 24)?;
        ConfigError::require("max_queued_bytes", self.max_queued_bytes, 1, tebi)?;
        ConfigError::require("max_received_bytes", self.max_received_bytes, 4 << 10, 1 << 30)?;
        ConfigError::require("max_events", self.max_events, 1, 1 << 16)?;
        ConfigError::require("resolve_timeout", self.resolve_timeout, MILLI, DAY)?;
        ConfigError::require("connect_timeout", self.connect_timeout, MILLI, DAY)?;
        ConfigError::require("handshake_timeout", self.handshake_timeout, MILLI, DAY)?;
        ConfigError::require("write_stall_timeout", self.write_stall_timeout, MILLI, DAY)?;
        ConfigError::require("read_out_timeout", self.read_out_timeout, MILLI, DAY)?;
        ConfigError::require("close_timeout", self.close_timeout, MILLI, MAX_CLOSE)?;
        ConfigError::require("backoff.initial", backoff.initial, MILLI, DAY)?;
        ConfigError::require("backoff.factor", backoff.factor, 1, 1_000)?;
        ConfigError::require("backoff.max", backoff.max, backoff.initial, DAY)?;
        ConfigError::require("backoff.floor", backoff.floor, MILLI, backoff.initial)?;
        ConfigError::require("backoff.reset_after", backoff.reset_after, Duration::ZERO, DAY)
    }
}

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field, as it is written in the code.
    pub field: &'static str,
    /// The value it has.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl ConfigError {
    /// Requires `low <= value <= high` of the setting `field`.
    ///
    /// # Errors
    /// The setting, if its value is outside.
    pub fn require<T>(field: &'static str, value: T, low: T, high: T) -> Result<(), Self>
    where
        T: PartialOrd + fmt::Debug,
    {
        if value >= low && value <= high {
            return Ok(());
        }
        let (value, allowed) = (format!("{value:?}"), format!("{low:?} to {high:?}"));
        Err(Self { field, value, allowed })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; allowed: {}", self.field, self.value, self.allowed)
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_defaults_are_valid_and_as_documented() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.max_queued_bytes, 8_388_608);
        assert_eq!(config.max_received_bytes, 262_144);
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_is_allowed() {
        type Case = (fn(&mut Config), &'static str);
        let cases: [Case; 7] = [
            (|c| c.max_queued_messages = 0, "max_queued_messages is 0; allowed: 1 to 16777216"),
            (|c| c.close_timeout = DAY, "close_timeout is 86400s; allowed: 1ms to 100ms"),
            (
                |c| c.connect_timeout = Duration::ZERO,
                "connect_timeout is 0ns; allowed: 1ms to 86400s",
            ),
            (|c| c.backoff.factor = 0, "backoff.factor is 0; allowed: 1 to 1000"),
            (|c| c.backoff.max = MILLI, "backoff.max is 1ms; allowed: 100ms to 86400s"),
            (|c| c.backoff.floor = DAY, "backoff.floor is 86400s; allowed: 1ms to 100ms"),
            (|c| c.max_events = 65_537, "max_events is 65537; allowed: 1 to 65536"),
        ];
        for (spoil, message) in cases {
            let mut config = Config::default();
            spoil(&mut config);
            assert_eq!(config.validate().map_err(|e| e.to_string()), Err(message.to_string()));
        }
        let endless = Config { write_stall_timeout: Duration::MAX, ..Config::default() };
        assert!(endless.validate().is_err());
    }
}
