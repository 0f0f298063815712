//! x86-64, System V calling convention.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::types::{DoorDesc, ServerProcedure};

/// Runs `procedure(cookie, argp, size, desc, n)`. Returns 0 if [`resume`] ended it, 1 if it returned by itself.
///
/// Saved below the frame, at `*save`: +0 MXCSR, +4 x87 control word, +8 shadow stack pointer (0 = none), then
/// r15, r14, r13, r12, rbx, rbp and the return address.
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
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "sub rsp, 24", // entry: rsp = 8 (mod 16); here: 0, as the call below needs
        ".cfi_adjust_cfa_offset 24",
        "stmxcsr dword ptr [rsp]",
        "fnstcw word ptr [rsp + 4]",
        "xor eax, eax",
        "rdsspq rax", // does nothing, and leaves 0, where shadow stacks are off
        "mov qword ptr [rsp + 8], rax",
        "mov qword ptr [rdi], rsp",
        "mov rax, rsi",
        "mov rdi, rdx",
        "mov rsi, rcx",
        "mov rdx, r8",
        "mov rcx, r9",
        "mov r8d, dword ptr [rsp + 80]", // the seventh argument, above the return address
        "call rax",
        "mov eax, 1",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_same_value rbp",
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
        "mov rsp, rdi",
        ".cfi_def_cfa rsp, 80",
        ".cfi_offset rbp, -16",
        ".cfi_offset rbx, -24",
        ".cfi_offset r12, -32",
        ".cfi_offset r13, -40",
        ".cfi_offset r14, -48",
        ".cfi_offset r15, -56",
        "ldmxcsr dword ptr [rsp]",
        "fldcw word ptr [rsp + 4]",
        "cld",
        "mov rax, qword ptr [rsp + 8]",
        "test rax, rax",
        "jz 3f",
        "xor ecx, ecx",
        "rdsspq rcx",
        "sub rax, rcx", // bytes of shadow stack to forget
        "shr rax, 3",
        "2:",
        "test rax, rax",
        "jz 3f",
        "mov ecx, 255", // incsspq looks at the low 8 bits only
        "cmp rax, rcx",
        "cmovb rcx, rax",
        "incsspq rcx",
        "sub rax, rcx",
        "jmp 2b",
        "3:",
        "xor eax, eax",
        "add rsp, 24",
        ".cfi_def_cfa_offset 56",
        "pop r15",
        ".cfi_def_cfa_offset 48",
        ".cfi_same_value r15",
        "pop r14",
        ".cfi_def_cfa_offset 40",
        ".cfi_same_value r14",
        "pop r13",
        ".cfi_def_cfa_offset 32",
        ".cfi_same_value r13",
        "pop r12",
        ".cfi_def_cfa_offset 24",
        ".cfi_same_value r12",
        "pop rbx",
        ".cfi_def_cfa_offset 16",
        ".cfi_same_value rbx",
        "pop rbp",
        ".cfi_def_cfa_offset 8",
        ".cfi_same_value rbp",
        "ret",
        ".cfi_endproc",
    )
}
