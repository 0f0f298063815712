//! What goes wrong, in the words administrators know: `stmfadm: <object>: <reason>`.

use std::{fmt, io};

use admin_proto::{Guid, StmfStatus};
use stmf_client::ClientError;

/// One failed operand, or a failed command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    object: Option<String>,
    reason: String,
    /// What the daemon said beside the status.
    detail: Option<String>,
}

impl Failure {
    /// A failure of this program's own.
    pub(crate) fn new(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            object: Some(object.into()),
            reason: reason.into(),
            detail: None,
        }
    }

    /// A failure of the whole command.
    pub(crate) fn whole(reason: impl Into<String>) -> Self {
        Self {
            object: None,
            reason: reason.into(),
            detail: None,
        }
    }

    /// A request about `object` that was not carried out.
    pub(crate) fn of(object: impl Into<String>, error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Self {
                object: Some(object.into()),
                reason: refusal.status.message().to_owned(),
                detail: refusal.message,
            },
            error => Self::whole(error.to_string()),
        }
    }

    /// Replaces the reason for one status.
    pub(crate) fn of_modify(object: impl Into<String>, error: ClientError) -> Self {
        let standby = error.status() == StmfStatus::AccessStateSet;
        let mut failure = Self::of(object, error);
        if standby {
            "cannot modify while in standby mode".clone_into(&mut failure.reason);
        }
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stmfadm: ")?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.reason)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n    {detail}")?;
        }
        Ok(())
    }
}

/// A request about the service as a whole.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Self {
                object: None,
                reason: refusal.status.message().to_owned(),
                detail: refusal.message,
            },
            error => Self::whole(error.to_string()),
        }
    }
}

/// Standard output is gone.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::whole(error.to_string())
    }
}

/// A GUID operand.
pub(crate) fn guid(operand: &str) -> Result<Guid, Failure> {
    operand
        .parse()
        .map_err(|error: admin_proto::GuidError| Failure::new(operand, error.to_string()))
}

#[cfg(test)]
mod tests {
    use stmf_client::Refusal;

    use super::*;

    fn refused(status: StmfStatus, message: Option<&str>) -> ClientError {
        ClientError::Refused(Refusal {
            status,
            message: message.map(str::to_owned),
            reply: None,
        })
    }

    #[test]
    fn a_refusal_is_told_in_the_words_administrators_know() {
        let failure = Failure::of("/s/d", refused(StmfStatus::DataFileName, None));
        assert_eq!(failure.to_string(), "stmfadm: /s/d: data file error");
        let failure = Failure::of(
            "hg1",
            refused(StmfStatus::GroupInUse, Some("remove view 0 of 60AA first")),
        );
        assert_eq!(
            failure.to_string(),
            "stmfadm: hg1: group is in use by existing view entry\n    remove view 0 of 60AA first"
        );
        let failure = Failure::of_modify("G", refused(StmfStatus::AccessStateSet, None));
        assert_eq!(
            failure.to_string(),
            "stmfadm: G: cannot modify while in standby mode"
        );
        assert_eq!(
            Failure::from(refused(StmfStatus::Perm, None)).to_string(),
            "stmfadm: permission denied"
        );
    }

    #[test]
    fn st_167_a_guid_of_31_digits_is_refused() {
        let failure = guid("600144F0C73AB8000000549B0001000").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "stmfadm: 600144F0C73AB8000000549B0001000: must be 32 hexadecimal digits long"
        );
    }
}
