//! Waiting for many things at once: epoll(7), and one timer for all deadlines.

use super::super::clock::Moment;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// What something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Termination,
    Timer,
    Connection(u64),
    /// The IPv4 port of an attachment.
    Port4(u64),
    /// The IPv6 port of an attachment.
    Port6(u64),
}

impl Token {
    fn to_wire(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Termination => 1,
            Self::Timer => 2,
            Self::Connection(id) => id << 2,
            Self::Port4(id) => id << 2 | 1,
            Self::Port6(id) => id << 2 | 2,
        }
    }

    /// Ids count from 1, so that none is taken for one of the first three.
    fn from_wire(wire: u64) -> Option<Self> {
        match (wire >> 2, wire & 3) {
            (0, 0) => Some(Self::Listener),
            (0, 1) => Some(Self::Termination),
            (0, 2) => Some(Self::Timer),
            (id, 0) => Some(Self::Connection(id)),
            (id, 1) => Some(Self::Port4(id)),
            (id, 2) => Some(Self::Port6(id)),
            _ => None,
        }
    }
}

/// What is waited for. Descriptors leave it by being closed.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: Option<Moment>,
}

impl Poller {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let poller = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            timer: timerfd_create(TimerfdClockId::Boottime, flags)?,
            armed: None,
        };
        poller.add(&poller.timer, Token::Timer)?;
        Ok(poller)
    }

    /// Tells when something can be read.
    pub(super) fn add(&self, fd: impl AsFd, token: Token) -> Result<(), Errno> {
        let data = EventData::new_u64(token.to_wire());
        epoll::add(&self.epoll, fd, data, EventFlags::IN)
    }

    /// Tells also when something can be written, or not any more.
    pub(super) fn set_writing(
        &self,
        fd: impl AsFd,
        token: Token,
        writing: bool,
    ) -> Result<(), Errno> {
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, writing);
        epoll::modify(&self.epoll, fd, EventData::new_u64(token.to_wire()), flags)
    }

    pub(super) fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        epoll::delete(&self.epoll, fd)
    }

    /// Wakes up at a moment, or at none.
    pub(super) fn arm(&mut self, moment: Option<Moment>) -> Result<(), Errno> {
        if moment == self.armed {
            return Ok(());
        }
        // All zeros disarm.
        let mut value = Timespec::default();
        if let Some(moment) = moment {
            value.tv_sec = moment.as_secs().try_into().unwrap_or(i64::MAX);
            value.tv_nsec = moment.subsec_nanos().max(1).into();
        }
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &timer)?;
        self.armed = moment;
        Ok(())
    }

    /// The timer went off.
    pub(super) fn clear_timer(&mut self) {
        self.armed = None;
        // There is nothing to be done about a timer that has nothing to read.
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
    }

    /// Waits for what happens next.
    pub(super) fn wait(&self) -> Result<Vec<Token>, Errno> {
        let mut events = Vec::with_capacity(64);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let tokens = events.iter().map(|event| event.data.u64());
        Ok(tokens.filter_map(Token::from_wire).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipam::dhcp::clock;
    use std::time::Duration;

    #[test]
    fn tokens_survive() {
        let tokens = [
            Token::Listener,
            Token::Termination,
            Token::Timer,
            Token::Connection(1),
            Token::Port4(1),
            Token::Port6(u64::MAX >> 2),
        ];
        for token in tokens {
            assert_eq!(Token::from_wire(token.to_wire()), Some(token));
        }
    }

    #[test]
    fn the_timer_wakes_up_at_its_moment() {
        let mut poller = Poller::new().unwrap();
        let moment = clock::now() + Duration::from_millis(20);
        poller.arm(Some(moment)).unwrap();
        assert_eq!(poller.wait().unwrap(), [Token::Timer]);
        assert!(clock::now() >= moment);
        poller.clear_timer();
    }
}
