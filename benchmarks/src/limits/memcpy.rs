//! What is sent, copied twice by one thread: no other process takes part.

use std::hint::black_box;

use anyhow::Result;

use crate::mechanism::{Caller, Mechanism, Meeting, ready, until_told};
use crate::shape::{Argument, Kind};

/// The mechanism.
#[derive(Debug)]
pub(crate) struct TwoCopies;

impl Mechanism for TwoCopies {
    type Caller = Client;

    fn serve(_: &Meeting) -> Result<()> {
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client> {
        let shape = meeting.shape;
        let room = shape.bytes;
        // A result is copied just as an argument is.
        let argument = match shape.kind {
            Kind::Result => Argument::new(shape, room),
            _ => Argument::new(shape, 0),
        };
        Ok(Client {
            meeting: meeting.clone(),
            argument,
            shared: vec![0; room],
            private: vec![0; room],
        })
    }
}

/// The only side.
#[derive(Debug)]
pub(crate) struct Client {
    meeting: Meeting,
    argument: Argument,
    shared: Vec<u8>,
    private: Vec<u8>,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let argument = self.argument.next();
        self.shared[..argument.len()].copy_from_slice(argument);
        black_box(self.shared.as_mut_slice());
        self.private[..argument.len()].copy_from_slice(&self.shared[..argument.len()]);
        let sum = self.meeting.shape.look(&self.private);
        self.argument.check(&sum.to_ne_bytes())
    }
}
