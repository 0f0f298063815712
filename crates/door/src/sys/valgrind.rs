//! Are we running under valgrind? See the "client request mechanism" of its manual: a row of instructions that does nothing
//! on a processor and is a question to valgrind.

/// `VG_USERREQ__RUNNING_ON_VALGRIND`
const RUNNING_ON_VALGRIND: u64 = 0x1001;

/// True under valgrind, whatever its tool.
pub(crate) fn watches() -> bool {
    // As cheap as remembering the answer, for which a forked child could have to wait.
    ask(&[RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
}

#[cfg(target_arch = "x86_64")]
fn ask(request: &[u64; 6]) -> u64 {
    let mut answer = 0_u64;
    // SAFETY: the four rotations add up to twice 64 bits, and exchanging a register with itself changes nothing; valgrind reads
    // the request and writes rdx.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request.as_ptr(),
            inlateout("rdx") answer,
            options(nostack)
        );
    }
    answer
}

#[cfg(target_arch = "aarch64")]
fn ask(request: &[u64; 6]) -> u64 {
    let mut answer = 0_u64;
    // SAFETY: the four rotations add up to twice 64 bits, and x10 is or-ed with itself; valgrind reads the request and writes x3.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") request.as_ptr(),
            inlateout("x3") answer,
            options(nostack)
        );
    }
    answer
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plain_process_is_not_watched() {
        // Where this test itself runs under valgrind, LD_PRELOAD names its helper.
        let under = std::env::var("LD_PRELOAD").is_ok_and(|libraries| libraries.contains("vgpreload"));
        assert_eq!(super::watches(), under);
    }
}
