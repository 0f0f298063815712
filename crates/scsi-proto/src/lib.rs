//! SCSI on the wire: CDBs, sense data, VPD and mode pages (SPC, SBC). Pure.
