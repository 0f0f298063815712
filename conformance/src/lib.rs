//! The whole system under test: real daemons, real initiators, real faults.
