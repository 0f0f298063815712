//! Parameter data of REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
//! SPC-4 r37 §6.34, §6.36. Built from [`opcode::TABLE`](crate::opcode::TABLE).

use alloc::vec;
use alloc::vec::Vec;

use crate::cdb::{OperationCodes, ReportingOptions};
use crate::fields::put_length32;
use crate::opcode::{Command, TABLE, has_service_actions};

/// The request names an operation code in a way its reporting option does not allow: 05/24/00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongReportingOption;

/// Command timeouts descriptor without any indication. SPC-4 r37 table 251.
const TIMEOUTS: [u8; 12] = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The answer to `request`, not truncated. `supported` tells which rows this logical unit carries out.
///
/// # Errors
/// [`WrongReportingOption`] when option 001b names an operation code with service actions, or 010b one without.
pub fn operation_codes(
    request: &OperationCodes,
    supported: impl Fn(&Command) -> bool,
) -> Result<Vec<u8>, WrongReportingOption> {
    let known = |opcode: u8, action: Option<u16>| {
        TABLE
            .iter()
            .find(|row| row.opcode == opcode && row.service_action.map(u16::from) == action && supported(row))
    };
    let row = match request.options {
        ReportingOptions::All => return Ok(all(request.timeouts, supported)),
        ReportingOptions::Opcode(opcode) if has_service_actions(opcode) => return Err(WrongReportingOption),
        ReportingOptions::Opcode(opcode) => known(opcode, None),
        ReportingOptions::OpcodeAndAction(opcode, action) => {
            let without_actions = TABLE
                .iter()
                .any(|r| r.opcode == opcode && r.service_action.is_none());
            if without_actions {
                return Err(WrongReportingOption);
            }
            known(opcode, Some(action))
        }
        ReportingOptions::OpcodeAndPossibleAction(opcode, action) => {
            known(opcode, Some(action)).or_else(|| known(opcode, None).filter(|_| action == 0))
        }
    };
    Ok(row.map_or_else(|| vec![0, 0x01, 0, 0], |row| one(row, request.timeouts)))
}

/// All-commands parameter data. SPC-4 r37 table 248.
fn all(timeouts: bool, supported: impl Fn(&Command) -> bool) -> Vec<u8> {
    let mut data = vec![0; 4];
    for row in TABLE.iter().filter(|row| supported(row)) {
        let flags = (u8::from(timeouts) << 1) | u8::from(row.service_action.is_some());
        let [length_high, length_low] = length16(row);
        let action = row.service_action.unwrap_or(0);
        data.extend_from_slice(&[row.opcode, 0, 0, action, 0, flags, length_high, length_low]);
        if timeouts {
            data.extend_from_slice(&TIMEOUTS);
        }
    }
    let length = data.len() - 4;
    put_length32(&mut data, 0, length);
    data
}

/// One-command parameter data of a supported command (SUPPORT=011b). SPC-4 r37 table 250.
fn one(row: &Command, timeouts: bool) -> Vec<u8> {
    let [length_high, length_low] = length16(row);
    let mut data = vec![0, (u8::from(timeouts) << 7) | 0x03, length_high, length_low];
    data.extend_from_slice(row.usage);
    if timeouts {
        data.extend_from_slice(&TIMEOUTS);
    }
    data
}

fn length16(row: &Command) -> [u8; 2] {
    u16::try_from(row.length()).unwrap_or(u16::MAX).to_be_bytes()
}

/// ABORT TASK, ABORT TASK SET, CLEAR TASK SET and LOGICAL UNIT RESET; `extended` adds the timeouts, all without
/// indication. Not truncated.
#[must_use]
pub fn task_management_functions(extended: bool) -> Vec<u8> {
    let mut data = vec![0xD8, 0, 0, 0];
    if extended {
        data = vec![0; 16];
        data.splice(..4, [0xD8, 0, 0, 12]);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: ReportingOptions, timeouts: bool) -> OperationCodes {
        OperationCodes {
            options,
            timeouts,
            allocation_length: 4096,
        }
    }

    #[test]
    fn one_command_shows_its_usage_mask() {
        let data = operation_codes(&request(ReportingOptions::Opcode(0x28), false), |_| true).unwrap();
        assert_eq!(
            data,
            [0, 3, 0, 10, 0x28, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, 4]
        );
    }

    #[test]
    fn a_command_nobody_supports_is_reported_as_not_supported() {
        let data = operation_codes(&request(ReportingOptions::Opcode(0xC5), false), |_| true).unwrap();
        assert_eq!(data, [0, 1, 0, 0]);
        let data = operation_codes(&request(ReportingOptions::Opcode(0x42), false), |_| false).unwrap();
        assert_eq!(data, [0, 1, 0, 0]);
    }

    #[test]
    fn service_actions_and_reporting_options_must_agree() {
        let ask = |options| operation_codes(&request(options, false), |_| true);
        assert_eq!(ask(ReportingOptions::Opcode(0xA3)), Err(WrongReportingOption));
        assert_eq!(
            ask(ReportingOptions::OpcodeAndAction(0x28, 0)),
            Err(WrongReportingOption)
        );
        assert_eq!(ask(ReportingOptions::OpcodeAndAction(0xA3, 0x0A)).unwrap()[1], 3);
        assert_eq!(
            ask(ReportingOptions::OpcodeAndAction(0xA3, 0x010A)).unwrap()[1],
            1
        );
        assert_eq!(
            ask(ReportingOptions::OpcodeAndPossibleAction(0x28, 0)).unwrap()[1],
            3
        );
        assert_eq!(
            ask(ReportingOptions::OpcodeAndPossibleAction(0x28, 1)).unwrap()[1],
            1
        );
        assert_eq!(
            ask(ReportingOptions::OpcodeAndPossibleAction(0xA3, 0x0C)).unwrap()[1],
            3
        );
    }

    #[test]
    fn all_commands_are_8_bytes_each_and_20_with_timeouts() {
        let plain = operation_codes(&request(ReportingOptions::All, false), |_| true).unwrap();
        assert_eq!(plain.len(), 4 + 8 * TABLE.len());
        assert_eq!(plain[..4], u32::try_from(8 * TABLE.len()).unwrap().to_be_bytes());
        assert_eq!(plain[4..12], [0x00, 0, 0, 0, 0, 0, 0, 6]);
        let timed = operation_codes(&request(ReportingOptions::All, true), |_| true).unwrap();
        assert_eq!(timed.len(), 4 + 20 * TABLE.len());
        assert_eq!(
            timed[4..24],
            [0, 0, 0, 0, 0, 2, 0, 6, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn task_management_functions_are_four_or_sixteen_bytes() {
        assert_eq!(task_management_functions(false), [0xD8, 0, 0, 0]);
        assert_eq!(
            task_management_functions(true),
            [0xD8, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
