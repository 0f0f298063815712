//! libstmf: the C interface of the target framework (libstmf(3LIB)).
