//! One run of the program: connect, do, count what failed.

use std::io::Write;

use admin_proto::{GroupKind, ServiceState};
use serde::Serialize;
use stmf_client::Client;

use crate::{
    args::{Arguments, Command},
    failure::Failure,
    group, logical_unit, service, target, view,
};

/// What every command works with.
pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) json: bool,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    failures: u8,
}

/// Runs one command and returns the exit status: 0, or the number of failures.
pub fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let client = match Client::connect(Some(&arguments.control)) {
        Ok(client) => client,
        Err(error) => {
            // Nowhere is left to say that standard error is gone.
            let _ = writeln!(err, "{}", Failure::from(error));
            return 1;
        }
    };
    let mut session = Session {
        client,
        json: arguments.json,
        out,
        err,
        failures: 0,
    };
    if let Err(failure) = session.command(arguments.command) {
        session.failed(&failure);
    }
    session.failures
}

impl Session<'_> {
    fn command(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::CreateLu(create) => logical_unit::create(self, &create),
            Command::ModifyLu(modify) => logical_unit::modify(self, &modify),
            Command::ImportLu { file } => logical_unit::import(self, &file),
            Command::DeleteLu { keep_views, guids } => {
                self.each(&guids, |session, operand| {
                    logical_unit::delete(session, operand, keep_views)
                });
                Ok(())
            }
            Command::ListLu(list) => logical_unit::list(self, &list),
            Command::OnlineLu { guid } => logical_unit::set_online(self, &guid, true),
            Command::OfflineLu { guid } => logical_unit::set_online(self, &guid, false),
            Command::StandbyLu { guids } => {
                self.each(&guids, logical_unit::standby);
                Ok(())
            }
            Command::Failover(failover) => logical_unit::failover(self, &failover),
            Command::CreateHg { name } => group::create(self, GroupKind::Host, &name),
            Command::DeleteHg { name } => group::delete(self, GroupKind::Host, &name),
            Command::AddHgMember(members) => group::add(self, GroupKind::Host, &members),
            Command::RemoveHgMember(members) => group::remove(self, GroupKind::Host, &members),
            Command::ListHg(list) => group::list(self, GroupKind::Host, &list),
            Command::CreateTg { name } => group::create(self, GroupKind::Target, &name),
            Command::DeleteTg { name } => group::delete(self, GroupKind::Target, &name),
            Command::AddTgMember(members) => group::add(self, GroupKind::Target, &members),
            Command::RemoveTgMember(members) => group::remove(self, GroupKind::Target, &members),
            Command::ListTg(list) => group::list(self, GroupKind::Target, &list),
            Command::AddView(add) => view::add(self, &add),
            Command::RemoveView {
                lu_name,
                all,
                entries,
            } => view::remove(self, &lu_name, all, &entries),
            Command::ListView { lu_name, entries } => view::list(self, &lu_name, &entries),
            Command::ListTarget(list) => target::list(self, &list),
            Command::OnlineTarget { name } => target::set_online(self, &name, true),
            Command::OfflineTarget { name } => target::set_online(self, &name, false),
            Command::ListState => service::list_state(self),
            Command::SetAlua { state, node } => service::set_alua(self, state, node),
            Command::ListProxy { verbose } => service::list_proxy(self, verbose),
        }
    }

    /// Does the same with every operand; what fails is told and counted, the others are done.
    pub(crate) fn each(
        &mut self,
        operands: &[String],
        mut action: impl FnMut(&mut Self, &str) -> Result<(), Failure>,
    ) {
        for operand in operands {
            if let Err(failure) = action(self, operand) {
                self.failed(&failure);
            }
        }
    }

    /// Tells a failure and counts it.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        // Nowhere is left to say that standard error is gone.
        let _ = writeln!(self.err, "{failure}");
        self.failures = self.failures.saturating_add(1);
    }

    /// Says on standard error that the service is offline; what is asked is done all the same.
    pub(crate) fn note_offline_service(&mut self) -> Result<(), Failure> {
        if self.client.state()?.service == ServiceState::Offline {
            writeln!(self.err, "stmfadm: STMF service is offline")?;
        }
        Ok(())
    }

    /// Shows text, as it is.
    pub(crate) fn show(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Shows a value as JSON.
    pub(crate) fn show_json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::whole(error.to_string()))?;
        self.show(&text)?;
        self.show("\n")
    }
}
