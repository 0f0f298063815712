//! iSCSI (RFC 7143) as a state machine: PDUs, text keys, login, full feature phase. Pure.
