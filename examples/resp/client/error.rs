//! Why a request has no reply, or none that fits.

use std::fmt;

use rebelay::{Certainty, Reason, Refusal, SendError};

use super::decode::Reply;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Error {
    /// The request was not even queued.
    Refused(Refusal),
    /// The connection that it was written on ended before its reply came, or the client was
    /// closed.
    Unanswered {
        /// How sure it is that the server does not have it.
        certainty: Certainty,
        /// How the connection ended.
        reason: Reason,
    },
    /// The server answered, but not with what the command gives: mostly with an error.
    Unexpected(Reply),
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Refused(error.refusal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the request was refused: {refusal}"),
            Self::Unanswered { certainty: Certainty::NotSent, reason } => {
                write!(f, "the request was never sent: {reason}")
            }
            Self::Unanswered { certainty: _, reason } => {
                write!(f, "no reply, and the server may have carried the request out: {reason}")
            }
            Self::Unexpected(Reply::Error(text)) => {
                write!(f, "the server says: {}", text.escape_ascii())
            }
            Self::Unexpected(reply) => write!(f, "the server answered {reply:?}"),
        }
    }
}

impl std::error::Error for Error {}
