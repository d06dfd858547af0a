//! The two halves of a stream as state machines.
//!
//! ```text
//! sending    Open --Finish--> Finishing --AllAcked--> Finished
//!              \----Reset-------/-------> Resetting --ResetAcked--> Gone
//!
//! receiving  Open --SizeKnown--> Sized --Drained--> Ended --Reported--> Done
//!              \---Stop--> Stopped --SizeKnown-->---------------------> Done
//!                           Sized, Ended --Stop-->--------------------> Done
//! ```

/// What the sending half of a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendState {
    /// Takes data.
    Open,
    /// The application finished; something is not acknowledged yet.
    Finishing,
    /// The end and everything before it has arrived.
    Finished,
    /// A reset is on its way.
    Resetting,
    /// The reset has arrived.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendEvent {
    Finish,
    AllAcked,
    Reset,
    ResetAcked,
}

impl SendState {
    /// The next state; `None` if the event means nothing here.
    pub(super) const fn on(self, event: SendEvent) -> Option<Self> {
        match (self, event) {
            (Self::Open, SendEvent::Finish) => Some(Self::Finishing),
            (Self::Finishing, SendEvent::AllAcked) => Some(Self::Finished),
            (Self::Open | Self::Finishing, SendEvent::Reset) => Some(Self::Resetting),
            (Self::Resetting, SendEvent::ResetAcked) => Some(Self::Gone),
            _ => None,
        }
    }

    /// Applies the event; false if it means nothing here.
    pub(super) fn advance(&mut self, event: SendEvent) -> bool {
        self.on(event).map(|next| *self = next).is_some()
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Gone)
    }

    /// Data may still be in the buffer.
    pub(super) const fn has_data(self) -> bool {
        matches!(self, Self::Open | Self::Finishing)
    }
}

/// What the receiving half of a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecvState {
    /// Data arrives.
    Open,
    /// The end is known; something below it is missing or unread.
    Sized,
    /// Everything was read; the application has not seen the end yet.
    Ended,
    /// The application wants no more; the end is not known yet.
    Stopped,
    /// Nothing is left to do.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecvEvent {
    SizeKnown,
    Drained,
    Reported,
    Stop,
}

impl RecvState {
    /// The next state; `None` if the event means nothing here.
    pub(super) const fn on(self, event: RecvEvent) -> Option<Self> {
        match (self, event) {
            (Self::Open, RecvEvent::SizeKnown) => Some(Self::Sized),
            (Self::Stopped, RecvEvent::SizeKnown) => Some(Self::Done),
            (Self::Sized, RecvEvent::Drained) => Some(Self::Ended),
            (Self::Ended, RecvEvent::Reported) => Some(Self::Done),
            (Self::Open, RecvEvent::Stop) => Some(Self::Stopped),
            (Self::Sized | Self::Ended, RecvEvent::Stop) => Some(Self::Done),
            _ => None,
        }
    }

    /// Applies the event; false if it means nothing here.
    pub(super) fn advance(&mut self, event: RecvEvent) -> bool {
        self.on(event).map(|next| *self = next).is_some()
    }

    /// Arriving data is kept.
    pub(super) const fn keeps_data(self) -> bool {
        matches!(self, Self::Open | Self::Sized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn every_pair_of_sending_state_and_event() {
        use {SendEvent as E, SendState as S};
        let mut table = String::new();
        for state in [S::Open, S::Finishing, S::Finished, S::Resetting, S::Gone] {
            let next = [E::Finish, E::AllAcked, E::Reset, E::ResetAcked].map(|event| state.on(event));
            table += &format!("{state:?} {next:?}\n");
        }
        assert_eq!(
            table,
            "Open [Some(Finishing), None, Some(Resetting), None]\n\
             Finishing [None, Some(Finished), Some(Resetting), None]\n\
             Finished [None, None, None, None]\n\
             Resetting [None, None, None, Some(Gone)]\n\
             Gone [None, None, None, None]\n"
        );
    }

    #[test]
    fn every_pair_of_receiving_state_and_event() {
        use {RecvEvent as E, RecvState as S};
        let mut table = String::new();
        for state in [S::Open, S::Sized, S::Ended, S::Stopped, S::Done] {
            let next = [E::SizeKnown, E::Drained, E::Reported, E::Stop].map(|event| state.on(event));
            table += &format!("{state:?} {next:?}\n");
        }
        assert_eq!(
            table,
            "Open [Some(Sized), None, None, Some(Stopped)]\n\
             Sized [None, Some(Ended), None, Some(Done)]\n\
             Ended [None, None, Some(Done), Some(Done)]\n\
             Stopped [Some(Done), None, None, None]\n\
             Done [None, None, None, None]\n"
        );
    }
}
