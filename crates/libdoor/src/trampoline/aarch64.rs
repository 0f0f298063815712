//! AArch64, AAPCS64. Assembles; not run by the tests of this repository so far.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::types::{DoorDesc, ServerProcedure};

/// Runs `procedure(cookie, argp, size, desc, n)`. Returns 0 if [`resume`] ended it, 1 if it returned by itself.
///
/// Saved at `*save`: x29, x30, x19-x28, d8-d15, FPCR; 176 bytes.
///
/// # Safety
/// `save` is writable and lives until the procedure has ended; `procedure` accepts the other arguments.
#[unsafe(naked)]
pub(crate) unsafe extern "C-unwind" fn invoke(
    save: *mut *mut c_void,
    procedure: ServerProcedure,
    cookie: *mut c_void,
    argp: *mut c_char,
    size: usize,
    desc: *mut DoorDesc,
    n: c_uint,
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-176]!",
        ".cfi_def_cfa_offset 176",
        ".cfi_offset x29, -176",
        ".cfi_offset x30, -168",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        ".cfi_offset x19, -160",
        ".cfi_offset x20, -152",
        "stp x21, x22, [sp, #32]",
        ".cfi_offset x21, -144",
        ".cfi_offset x22, -136",
        "stp x23, x24, [sp, #48]",
        ".cfi_offset x23, -128",
        ".cfi_offset x24, -120",
        "stp x25, x26, [sp, #64]",
        ".cfi_offset x25, -112",
        ".cfi_offset x26, -104",
        "stp x27, x28, [sp, #80]",
        ".cfi_offset x27, -96",
        ".cfi_offset x28, -88",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mrs x8, fpcr",
        "str x8, [sp, #160]",
        "mov x8, sp",
        "str x8, [x0]",
        "mov x8, x1",
        "mov x0, x2",
        "mov x1, x3",
        "mov x2, x4",
        "mov x3, x5",
        "mov w4, w6",
        "blr x8",
        "mov w0, #1",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #176",
        "ret",
        ".cfi_endproc",
    )
}

/// Drops every frame above the [`invoke`] that stored `save` and returns 0 from it.
///
/// # Safety
/// `save` was stored by an `invoke` of this thread that has not returned, and no frame above it owns anything.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume(save: *mut c_void) -> ! {
    naked_asm!(
        ".cfi_startproc",
        "mov sp, x0",
        "ldr x8, [sp, #160]",
        "msr fpcr, x8",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "mov w0, #0",
        "ldp x29, x30, [sp], #176",
        "ret",
        ".cfi_endproc",
    )
}
