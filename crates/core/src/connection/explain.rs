//! What a connection says of itself in plain words.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};
use core::time::Duration;

use super::{Connection, Ending, LastError, State};
use crate::error::Reason;
use crate::outbox::Waiting;
use crate::time::Instant;

impl Connection {
    /// What is going on at `now`, in a few sentences for people: the state, since when and why,
    /// what is waited for and until when, what the outbox holds, and the last error with its
    /// phase, address, attempt and errno. Programs should ask the other methods: the words may
    /// change.
    pub fn explain(&self, now: Instant) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = self.write_explanation(&mut text, now.max(self.now));
        text
    }

    fn write_explanation(&self, text: &mut String, now: Instant) -> fmt::Result {
        self.write_state(text, now)?;
        let ending = match self.ending {
            Some(_) if self.state == State::Closed => None,
            None => None,
            Some(Ending::Drain) => Some("drains: it closes once every message has its outcome"),
            Some(Ending::HalfClose) => {
                Some("is half closed: nothing more is sent after what is queued")
            }
            Some(Ending::Close) => Some("closes"),
        };
        if let Some(ending) = ending {
            write!(text, " It {ending}")?;
            let limit = self.timers.close().filter(|_| self.state != State::Draining);
            if let Some(limit) = limit {
                write!(text, ", in {} at the latest", Time(limit.saturating_since(now)))?;
            }
            text.write_str(".")?;
        }
        let (messages, bytes) = self.queued();
        if messages > 0 {
            let s = if messages == 1 { "" } else { "s" };
            write!(text, " Without an outcome: {messages} message{s} of {bytes} bytes")?;
            let Waiting { acks, evidence, held } = self.outbox.waiting();
            for (count, why) in [
                (acks, "wait to be acknowledged"),
                (evidence, "wait to be known to have left"),
                (held, "are held back, not to flood the peer"),
            ] {
                if count > 0 {
                    write!(text, "; {count} {why}")?;
                }
            }
            text.write_str(".")?;
        }
        match &self.last_error {
            Some(last) if self.state != State::Closed => last.write(text, now),
            Some(_) | None => Ok(()),
        }
    }

    fn write_state(&self, text: &mut String, now: Instant) -> fmt::Result {
        let (attempt, epoch) = (self.dial.attempt(), self.current());
        let time = Time(now.saturating_since(self.since));
        let to = Address(self.dial.address());
        match self.state {
            State::Idle => {
                write!(
                    text,
                    "Idle for {time}: it connects when a message is sent, or when asked to."
                )
            }
            State::Resolving => {
                let round = self.dial.round();
                write!(text, "Looking the endpoint up for {time} (round {round}); ")?;
                self.write_limit(text, now, "gives that up")
            }
            State::Connecting => {
                write!(text, "Connecting{to} for {time} (attempt {attempt}); ")?;
                self.write_limit(text, now, "gives that up")
            }
            State::Handshaking => {
                write!(
                    text,
                    "Connected{to} (epoch {epoch}), where the handshake has run for {time}; "
                )?;
                self.write_limit(text, now, "gives that up")
            }
            State::Backoff => {
                write!(text, "Not connected for {time}; ")?;
                self.write_limit(text, now, "tries again")
            }
            State::Draining => {
                write!(
                    text,
                    "Connected{to} (epoch {epoch}); all is written and our FIN was sent \
                              {time} ago; waits for the peer's FIN and "
                )?;
                self.write_limit(text, now, "closes")
            }
            State::Closed => {
                write!(text, "Closed for {time}")?;
                self.last_error
                    .as_ref()
                    .map_or(Ok(()), |last| write!(text, ": {}", last.cause()))?;
                text.write_str(".")
            }
            State::Connected => {
                write!(text, "Connected{to} for {time} (epoch {epoch}).")?;
                self.write_hindrance(text, now)
            }
        }
    }

    /// Why an established connection does not move on.
    fn write_hindrance(&self, text: &mut String, now: Instant) -> fmt::Result {
        if let Some(parting) = &self.parting {
            write!(
                text,
                " It has ended: {}; what became of the rest is awaited: it ",
                parting.reason
            )?;
            return self.write_limit(text, now, "is left");
        }
        if self.peer_finished {
            text.write_str(" The peer has sent its FIN and may read on.")?;
        }
        if self.blocked {
            text.write_str(" The socket takes no bytes; the connection ")?;
            self.write_limit(text, now, "is given up")?;
        }
        Ok(())
    }

    fn write_limit(&self, text: &mut String, now: Instant, deed: &str) -> fmt::Result {
        let closing = || self.timers.close().filter(|_| self.state == State::Draining);
        match self.timers.step().or_else(closing) {
            Some(limit) => write!(text, "{deed} in {}.", Time(limit.saturating_since(now))),
            None => write!(text, "never {deed} by itself."),
        }
    }
}

impl LastError {
    fn write(&self, text: &mut String, now: Instant) -> fmt::Result {
        let ago = Time(now.saturating_since(self.at));
        write!(text, " Last error, {ago} ago: {}.", self.cause())
    }

    /// What happened, where, and how often it was tried.
    fn cause(&self) -> String {
        let mut text = self.reason.to_string();
        let errno = self.reason.errno().map(|errno| errno.to_string());
        // Most operating systems' words have the number in them.
        let _ = match errno.filter(|errno| !text.contains(errno.as_str())) {
            Some(errno) => write!(text, " (errno {errno})"),
            None => Ok(()),
        };
        if self.reason == Reason::Closed {
            return text;
        }
        let _ = match (self.epoch, self.address) {
            (Some(epoch), _) => write!(text, ", on epoch {epoch}"),
            (None, Some(_)) => write!(text, ", at attempt {}", self.attempt),
            (None, None) => write!(text, ", in round {}", self.round),
        };
        let _ = write!(text, "{}", Address(self.address));
        text
    }
}

impl Reason {
    /// The operating system's number of the error, where there is one (errno(3)).
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Resolve(fault)
            | Self::Connect(fault)
            | Self::Handshake(fault)
            | Self::Io(fault) => fault.errno(),
            Self::NoAddress
            | Self::ResolveTimeout
            | Self::ConnectTimeout
            | Self::HandshakeTimeout
            | Self::PeerClosed
            | Self::Stalled
            | Self::Reconnect
            | Self::Closed => None,
        }
    }
}

/// A time in a sentence: to the millisecond, and longer ones to the second.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..10 => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
            seconds => write!(f, "{seconds} s"),
        }
    }
}

/// Where a connection goes, as the end of a phrase.
struct Address(Option<core::net::SocketAddr>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| write!(f, " to {address}"))
    }
}
