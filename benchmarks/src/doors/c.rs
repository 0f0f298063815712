//! Doors, through the functions of `<door.h>`.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context as _, Result};

use crate::mechanism::{Caller, Mechanism, Meeting, ready, some_descriptor, until_told};
use crate::shape::{Argument, Kind};
use crate::sys::libdoor;

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Doors;

impl Mechanism for Doors {
    type Caller = Client;

    fn serve(meeting: &Meeting) -> Result<()> {
        drop(File::create(meeting.path("door"))?);
        libdoor::serve(&path(meeting)?, meeting.shape).context("cannot make the door")?;
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client> {
        Ok(Client {
            door: libdoor::Client::open(&path(meeting)?).context("cannot open the door")?,
            argument: Argument::new(meeting.shape, 0),
            result: vec![0; meeting.shape.result()],
            descriptor: (meeting.shape.kind == Kind::Descriptor)
                .then(|| some_descriptor(&meeting.dir))
                .transpose()?,
        })
    }
}

fn path(meeting: &Meeting) -> Result<CString> {
    Ok(CString::new(meeting.path("door").as_os_str().as_bytes())?)
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    door: libdoor::Client,
    argument: Argument,
    result: Vec<u8>,
    descriptor: Option<File>,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let descriptor = self.descriptor.as_ref().map(|file| file.as_raw_fd());
        let len = self
            .door
            .call(self.argument.next(), descriptor, &mut self.result)?;
        self.argument.check(&self.result[..len])
    }
}
