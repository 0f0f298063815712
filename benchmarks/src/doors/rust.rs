//! Doors, from Rust.

use std::fs::File;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use door::{Call, Door, DoorHandle, Invocation, Reply};

use crate::mechanism::{Caller, Mechanism, Meeting, ready, some_descriptor, until_told};
use crate::shape::{Argument, Kind};

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Doors;

impl Mechanism for Doors {
    type Caller = Client;

    fn serve(meeting: &Meeting) -> Result<()> {
        let shape = meeting.shape;
        let result = vec![0; shape.result()];
        let answer = move |mut call: Invocation<'_>| match shape.kind {
            Kind::Null | Kind::Argument => {
                shape.look(call.argument());
                Reply::empty()
            }
            // From where it is: nothing is allocated and nothing is copied twice.
            Kind::Result => call.reply(&result, &[]).unwrap_or_default(),
            Kind::Use => Reply::bytes(shape.look(call.argument()).to_ne_bytes()),
            Kind::Descriptor => {
                drop(call.take_descriptors());
                Reply::empty()
            }
        };
        let door = Door::builder()
            .refuse_descriptors(shape.kind != Kind::Descriptor)
            .create(answer)?;
        let _attached = door.attach(meeting.path("door"))?;
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client> {
        Ok(Client {
            door: DoorHandle::open(meeting.path("door")).context("cannot open the door")?,
            argument: Argument::new(meeting.shape, 0),
            result: vec![0; meeting.shape.result()],
            descriptor: (meeting.shape.kind == Kind::Descriptor)
                .then(|| some_descriptor(&meeting.dir))
                .transpose()?,
        })
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    door: DoorHandle,
    argument: Argument,
    result: Vec<u8>,
    descriptor: Option<File>,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        if let Some(descriptor) = &self.descriptor {
            let call = Call::new(&[]).lend(descriptor.as_fd());
            self.door.call_into(call, &mut self.result)?;
            return Ok(());
        }
        let len = self.door.call_into(self.argument.next(), &mut self.result)?;
        self.argument.check(&self.result[..len])
    }
}
