//! The one table of commands: operation code, service action, CDB length, name, usage mask.
//!
//! CDB parsing, REPORT SUPPORTED OPERATION CODES and the standby filter all read this table, so a command that
//! is not here does not exist. SPC-4 r37 table E.2, SBC-3 r36 table 31.

/// PERSISTENT RESERVE IN; named for the standby filter, which forwards it whoever implements it.
pub const PERSISTENT_RESERVE_IN: u8 = 0x5E;
/// PERSISTENT RESERVE OUT; likewise.
pub const PERSISTENT_RESERVE_OUT: u8 = 0x5F;
/// MAINTENANCE IN: the operation code of four rows below.
pub const MAINTENANCE_IN: u8 = 0xA3;
/// SERVICE ACTION IN(16).
pub const SERVICE_ACTION_IN_16: u8 = 0x9E;

/// The CONTROL byte: only NACA (bit 2) is looked at, and must be zero. SAM-5 r21 §5.2.
const CONTROL: u8 = 0x04;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Which command it is.
    pub operation: Operation,
    /// OPERATION CODE, byte 0.
    pub opcode: u8,
    /// SERVICE ACTION, byte 1 bits 4:0, when the operation code has any.
    pub service_action: Option<u8>,
    /// The standard's name.
    pub name: &'static str,
    /// CDB USAGE DATA: as long as the CDB; the operation code and service action as they are, a one for every
    /// other bit that is evaluated. SPC-4 r37 §6.34.3.
    pub usage: &'static [u8],
}

impl Command {
    /// The length of the CDB, in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.usage.len()
    }
}

macro_rules! commands {
    ($($operation:ident $name:literal [$($byte:expr),*] $(/ $service_action:literal)?;)*) => {
        /// Every command this workspace parses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $(#[doc = $name] $operation),* }

        /// All commands, by operation code and service action.
        pub const TABLE: &[Command] = &[$(Command {
            operation: Operation::$operation,
            opcode: { const USAGE: &[u8] = &[$($byte),*]; *USAGE.first().expect("every row has an opcode") },
            service_action: commands!(@action $($service_action)?),
            name: $name,
            usage: &[$($byte),*],
        }),*];
    };
    (@action) => { None };
    (@action $service_action:literal) => { Some($service_action) };
}

commands! {
    TestUnitReady "TEST UNIT READY" [0x00, 0, 0, 0, 0, CONTROL];
    RequestSense "REQUEST SENSE" [0x03, 0x01, 0, 0, 0xFF, CONTROL];
    Read6 "READ(6)" [0x08, 0x1F, 0xFF, 0xFF, 0xFF, CONTROL];
    Write6 "WRITE(6)" [0x0A, 0x1F, 0xFF, 0xFF, 0xFF, CONTROL];
    Inquiry "INQUIRY" [0x12, 0x03, 0xFF, 0xFF, 0xFF, 0xFF];
    ModeSelect6 "MODE SELECT(6)" [0x15, 0x11, 0, 0, 0xFF, CONTROL];
    Reserve6 "RESERVE(6)" [0x16, 0xFF, 0, 0, 0, CONTROL];
    Release6 "RELEASE(6)" [0x17, 0xFF, 0, 0, 0, CONTROL];
    ModeSense6 "MODE SENSE(6)" [0x1A, 0x08, 0xFF, 0xFF, 0xFF, CONTROL];
    StartStopUnit "START STOP UNIT" [0x1B, 0x01, 0, 0, 0xF7, CONTROL];
    SendDiagnostic "SEND DIAGNOSTIC" [0x1D, 0xE7, 0, 0xFF, 0xFF, CONTROL];
    PreventAllowMediumRemoval "PREVENT ALLOW MEDIUM REMOVAL" [0x1E, 0, 0, 0, 0x03, CONTROL];
    ReadCapacity10 "READ CAPACITY(10)" [0x25, 0, 0, 0, 0, 0, 0, 0, 0, CONTROL];
    Read10 "READ(10)" [0x28, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    Write10 "WRITE(10)" [0x2A, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    WriteAndVerify10 "WRITE AND VERIFY(10)" [0x2E, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    Verify10 "VERIFY(10)" [0x2F, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    SynchronizeCache10 "SYNCHRONIZE CACHE(10)" [0x35, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    WriteSame10 "WRITE SAME(10)" [0x41, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, CONTROL];
    Unmap "UNMAP" [0x42, 0x01, 0, 0, 0, 0, 0, 0xFF, 0xFF, CONTROL];
    LogSense "LOG SENSE" [0x4D, 0x03, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0xFF, 0xFF, CONTROL];
    ModeSelect10 "MODE SELECT(10)" [0x55, 0x11, 0, 0, 0, 0, 0, 0xFF, 0xFF, CONTROL];
    ModeSense10 "MODE SENSE(10)" [0x5A, 0x18, 0xFF, 0xFF, 0, 0, 0, 0xFF, 0xFF, CONTROL];
    Read16 "READ(16)"
        [0x88, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    Write16 "WRITE(16)"
        [0x8A, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    WriteAndVerify16 "WRITE AND VERIFY(16)"
        [0x8E, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    Verify16 "VERIFY(16)"
        [0x8F, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    SynchronizeCache16 "SYNCHRONIZE CACHE(16)"
        [0x91, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    WriteSame16 "WRITE SAME(16)"
        [0x93, 0xF9, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    ReadCapacity16 "READ CAPACITY(16)"
        [0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL] / 0x10;
    GetLbaStatus "GET LBA STATUS"
        [0x9E, 0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL] / 0x12;
    ReportLuns "REPORT LUNS" [0xA0, 0, 0xFF, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    ReportIdentifyingInformation "REPORT IDENTIFYING INFORMATION"
        [0xA3, 0x05, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, CONTROL] / 0x05;
    ReportTargetPortGroups "REPORT TARGET PORT GROUPS"
        [0xA3, 0xEA, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL] / 0x0A;
    ReportSupportedOperationCodes "REPORT SUPPORTED OPERATION CODES"
        [0xA3, 0x0C, 0x87, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL] / 0x0C;
    ReportSupportedTaskManagementFunctions "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS"
        [0xA3, 0x0D, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL] / 0x0D;
    Read12 "READ(12)" [0xA8, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    Write12 "WRITE(12)" [0xAA, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    WriteAndVerify12 "WRITE AND VERIFY(12)"
        [0xAE, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
    Verify12 "VERIFY(12)" [0xAF, 0xF6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, CONTROL];
}

/// Finds the row of a CDB by its operation code and, where the operation code has any, its service action.
#[must_use]
pub fn lookup(cdb: &[u8]) -> Option<&'static Command> {
    let opcode = *cdb.first()?;
    let action = cdb.get(1).map(|byte| byte & 0x1F);
    TABLE
        .iter()
        .find(|row| row.opcode == opcode && row.service_action.is_none_or(|wanted| action == Some(wanted)))
}

/// Does this operation code carry a service action in the table?
#[must_use]
pub fn has_service_actions(opcode: u8) -> bool {
    TABLE
        .iter()
        .any(|row| row.opcode == opcode && row.service_action.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_cdb_follows_from_its_group_code() {
        // SPC-4 r37 table 19: group 0 is 6 bytes, 1 and 2 are 10, 4 is 16, 5 is 12.
        for row in TABLE {
            let expected = match row.opcode >> 5 {
                0 => 6,
                1 | 2 => 10,
                4 => 16,
                5 => 12,
                group => panic!("{}: group {group} has no fixed length", row.name),
            };
            assert_eq!(row.length(), expected, "{}", row.name);
        }
    }

    #[test]
    fn rows_are_sorted_and_unique_and_find_themselves() {
        let keys: std::vec::Vec<_> = TABLE.iter().map(|r| (r.opcode, r.service_action)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:02X?}");
        for row in TABLE {
            let mut cdb = [0u8; 16];
            cdb[0] = row.opcode;
            cdb[1] = row.service_action.unwrap_or(0);
            assert_eq!(lookup(&cdb), Some(row));
            assert_eq!(
                row.usage[0], row.opcode,
                "CDB usage data starts with the operation code"
            );
            if let Some(action) = row.service_action {
                assert_eq!(row.usage[1] & 0x1F, action, "{}", row.name);
            }
        }
    }

    #[test]
    fn operation_codes_are_the_standards() {
        let wanted: &[(u8, Option<u8>, &str)] = &[
            (0x00, None, "TEST UNIT READY"),
            (0x03, None, "REQUEST SENSE"),
            (0x12, None, "INQUIRY"),
            (0x1A, None, "MODE SENSE(6)"),
            (0x28, None, "READ(10)"),
            (0x2A, None, "WRITE(10)"),
            (0x35, None, "SYNCHRONIZE CACHE(10)"),
            (0x41, None, "WRITE SAME(10)"),
            (0x42, None, "UNMAP"),
            (0x88, None, "READ(16)"),
            (0x8A, None, "WRITE(16)"),
            (0x93, None, "WRITE SAME(16)"),
            (0x9E, Some(0x10), "READ CAPACITY(16)"),
            (0xA0, None, "REPORT LUNS"),
            (0xA3, Some(0x0A), "REPORT TARGET PORT GROUPS"),
            (0xA3, Some(0x0C), "REPORT SUPPORTED OPERATION CODES"),
        ];
        for (opcode, service_action, name) in wanted {
            let row = TABLE.iter().find(|r| r.name == *name).unwrap();
            assert_eq!(
                (row.opcode, row.service_action),
                (*opcode, *service_action),
                "{name}"
            );
        }
    }

    #[test]
    fn a_service_action_nobody_has_is_not_found() {
        assert_eq!(lookup(&[0xA3, 0x1F, 0, 0]), None);
        assert_eq!(lookup(&[0xA3]), None);
        assert_eq!(lookup(&[]), None);
    }
}
