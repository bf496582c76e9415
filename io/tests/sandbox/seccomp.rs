//! System calls that the kernel refuses from some moment on.

use std::io;

/// A system call to refuse, and the error.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) call: libc::c_long,
    /// Refuse only if this argument has one of these bits.
    pub(crate) only: Option<(u32, i32)>,
    pub(crate) errno: i32,
}

impl Refusal {
    pub(crate) fn of(call: libc::c_long, errno: i32) -> Self {
        Self { call, only: None, errno }
    }

    /// Applies the refusal to this thread, and to the threads that it starts. With
    /// `SECCOMP_FILTER_FLAG_TSYNC` it applies to every thread of this process.
    pub(crate) fn install(self, flags: libc::c_ulong) -> io::Result<()> {
        let mut filter = self.filter();
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).expect("the filter is short"),
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the call takes only numbers.
        #[expect(unsafe_code, reason = "seccomp has no safe form")]
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        let (call, mode) = (libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER);
        // SAFETY: `program` and its filter live until the call returns; the kernel makes a copy.
        #[expect(unsafe_code, reason = "seccomp has no safe form")]
        let result = unsafe { libc::syscall(call, mode, flags, &raw const program) };
        check(i32::try_from(result).expect("a thread id, or an error"))
    }

    /// Loads the number of the call, then perhaps an argument, then decides.
    fn filter(self) -> Vec<libc::sock_filter> {
        let (load, equal, any) = (LOAD_WORD, JUMP | libc::BPF_JEQ, JUMP | libc::BPF_JSET);
        let call = u32::try_from(self.call).expect("numbers of calls are small");
        let refuse = libc::SECCOMP_RET_ERRNO | self.errno.cast_unsigned();
        let mut filter = vec![instruction(load, NUMBER_OFFSET, 0, 0)];
        match self.only {
            None => filter.push(instruction(equal, call, 0, 1)),
            Some((argument, bits)) => filter.extend([
                instruction(equal, call, 0, 3),
                instruction(load, ARGUMENTS_OFFSET + 8 * argument, 0, 0),
                instruction(any, bits.cast_unsigned(), 0, 1),
            ]),
        }
        filter.push(instruction(RETURN, refuse, 0, 0));
        filter.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
        filter
    }
}

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
/// Offsets in `seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARGUMENTS_OFFSET: u32 = 16;

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("codes are short"), jt, jf, k }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
