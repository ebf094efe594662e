//! The kernel under the socket: what it took, what it gave to the network, and what is said of it.

use rebelay_core::{Evidence, State};

use super::super::model::Model;
use super::super::ops::{Claim, Which};
use super::{World, is_up};

/// What the kernel did on the current epoch.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// Bytes that it gave to the network.
    sent: usize,
    /// Bytes that it took of those that are out with a writer, who has not reported yet.
    pub(super) ahead: usize,
    /// The connection is over: it takes and gives nothing more.
    over: bool,
    /// Something else was said of it than what it did.
    lied: bool,
}

impl Kernel {
    /// How many of `count` bytes that are out with a writer it took.
    pub(super) fn limit(&self, count: usize) -> usize {
        if self.over { self.ahead } else { count.max(self.ahead) }
    }

    /// A writer says that it took none of the bytes.
    pub(super) fn took_nothing(&mut self, model: &mut Model) {
        if std::mem::take(&mut self.ahead) > 0 {
            self.lied = true;
            model.lie();
        }
    }

    /// The epoch has ended. Unless the connection was over before, all leaves that can.
    pub(super) fn end(&mut self, model: &mut Model) {
        let all = model.streamed + model.lent();
        model.kernel_sent(if self.over { self.sent } else { all });
        if self.lied {
            model.lie();
        }
        *self = Self::default();
    }
}

impl World {
    /// What is said of the bytes that the current socket took.
    pub(super) fn claim(&mut self, claim: Claim) -> Option<Evidence> {
        match claim {
            Claim::Nothing => None,
            Claim::Lie { untransmitted, is_final } => {
                self.kernel.lied = true;
                Some(Evidence { untransmitted, is_final })
            }
            Claim::Truth { sent, ahead, over } => {
                let kernel = &mut self.kernel;
                let share = |of: usize, share: u8| of * usize::from(share) / 255;
                if !kernel.over {
                    kernel.ahead = kernel.ahead.max(share(self.model.lent(), ahead));
                    let unsent = (self.model.streamed + kernel.ahead).saturating_sub(kernel.sent);
                    kernel.sent += share(unsent, sent);
                    kernel.over = over;
                }
                self.model.kernel_sent(kernel.sent);
                let unsent = (self.model.streamed + kernel.ahead).saturating_sub(kernel.sent);
                let fin_waits = unsent > 0 || ahead % 2 == 0;
                let fin = self.conn.state() == State::Draining && fin_waits;
                let untransmitted = unsent as u64 + u64::from(fin);
                Some(Evidence { untransmitted, is_final: kernel.over })
            }
        }
    }

    /// Evidence is reported of a connection that is ending. The first that is final counts.
    pub(super) fn hear(&mut self, evidence: Evidence) {
        if evidence.is_final {
            self.proof.get_or_insert(evidence.untransmitted);
        }
    }

    /// The question for evidence is answered.
    pub(super) fn answer(&mut self, which: Which, claim: Claim) {
        let now = self.now;
        let asked = self.asked.filter(|_| is_up(self.conn.state()));
        let mut evidence = None;
        if let Some(marked) = asked.filter(|_| which == Which::Current) {
            evidence = self.read.take().unwrap_or_else(|| self.claim(claim));
            self.asked = None;
            if self.kernel.lied {
                self.model.lie();
            }
            match evidence {
                None => self.model.go_blind(self.current()),
                Some(evidence) => {
                    let since = (self.model.streamed - marked) as u64;
                    let count = evidence.untransmitted.saturating_add(since);
                    self.model.transmitted(count, self.current());
                    // After the peer's FIN nothing is read that would tell of the end.
                    if self.parting || self.peer_finished {
                        self.hear(evidence);
                    }
                }
            }
        }
        self.report(which, asked.is_some(), |conn, epoch| {
            conn.handle_evidence(epoch, evidence, now);
        });
    }
}
