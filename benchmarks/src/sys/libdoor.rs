//! The functions of `<door.h>` and `<stropts.h>`, found in a `libdoor.so` that was loaded before this program, as it is for
//! a program that was linked with `-ldoor`.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::io;
use std::sync::OnceLock;

use crate::shape::{Kind, Shape};

/// `door_arg_t`.
#[repr(C)]
#[derive(Debug)]
struct DoorArg {
    data_ptr: *mut c_char,
    data_size: usize,
    desc_ptr: *mut DoorDesc,
    desc_num: c_uint,
    rbuf: *mut c_char,
    rsize: usize,
}

/// `door_desc_t`.
#[repr(C, packed(4))]
#[derive(Debug, Clone, Copy)]
struct DoorDesc {
    attributes: u32,
    descriptor: c_int,
    id: u64,
    unused: [c_int; 2],
}

const _: () = assert!(size_of::<DoorDesc>() == 24 && size_of::<DoorArg>() == 48);

const DOOR_DESCRIPTOR: u32 = 0x10000;

type Procedure = extern "C-unwind" fn(*mut c_void, *mut c_char, usize, *mut DoorDesc, c_uint);

type Create = unsafe extern "C" fn(Procedure, *mut c_void, c_uint) -> c_int;
type Call = unsafe extern "C" fn(c_int, *mut DoorArg) -> c_int;
type Return = unsafe extern "C-unwind" fn(*mut c_char, usize, *mut DoorDesc, c_uint) -> c_int;
type Attach = unsafe extern "C" fn(c_int, *const c_char) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
type Close = unsafe extern "C" fn(c_int) -> c_int;

#[derive(Debug)]
struct Functions {
    door_create: Create,
    door_call: Call,
    door_return: Return,
    fattach: Attach,
    open: Open,
    close: Close,
}

fn functions() -> io::Result<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    FUNCTIONS
        .get_or_init(find_all)
        .as_ref()
        .ok_or_else(|| io::Error::other("the C row needs LD_PRELOAD=PATH/libdoor.so"))
}

#[expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "six times the same, for the same reason"
)]
fn find_all() -> Option<Functions> {
    // SAFETY: these are the types that <door.h>, <stropts.h>, <fcntl.h> and <unistd.h> declare for the functions of these names.
    unsafe {
        Some(Functions {
            door_create: std::mem::transmute::<NonNullFunction, Create>(find(c"door_create")?),
            door_call: std::mem::transmute::<NonNullFunction, Call>(find(c"door_call")?),
            door_return: std::mem::transmute::<NonNullFunction, Return>(find(c"door_return")?),
            fattach: std::mem::transmute::<NonNullFunction, Attach>(find(c"fattach")?),
            open: std::mem::transmute::<NonNullFunction, Open>(find(c"open")?),
            close: std::mem::transmute::<NonNullFunction, Close>(find(c"close")?),
        })
    }
}

type NonNullFunction = std::ptr::NonNull<c_void>;

fn find(name: &CStr) -> Option<NonNullFunction> {
    // SAFETY: the name ends with a zero byte; RTLD_DEFAULT needs no handle.
    NonNullFunction::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// What the procedure answers with: decided once, before the door is made.
#[derive(Debug)]
struct Answers {
    shape: Shape,
    result: Vec<u8>,
}

static ANSWERS: OnceLock<Answers> = OnceLock::new();

/// Makes a door that answers calls of `shape`, and attaches it at `path`, which exists.
pub(crate) fn serve(path: &CStr, shape: Shape) -> io::Result<()> {
    let functions = functions()?;
    ANSWERS.get_or_init(|| Answers {
        shape,
        result: vec![0; shape.result()],
    });
    // SAFETY: `procedure` has the type of a server procedure and lives for ever.
    let door = checked(unsafe { (functions.door_create)(procedure, std::ptr::null_mut(), 0) })?;
    // SAFETY: the path ends with a zero byte.
    checked(unsafe { (functions.fattach)(door, path.as_ptr()) })?;
    Ok(())
}

extern "C-unwind" fn procedure(
    _cookie: *mut c_void,
    data: *mut c_char,
    size: usize,
    descriptors: *mut DoorDesc,
    count: c_uint,
) {
    let (Ok(functions), Some(answers)) = (functions(), ANSWERS.get()) else {
        return;
    };
    for number in 0..count as usize {
        // SAFETY: the library says that `count` descriptors are there.
        let descriptor = unsafe { descriptors.add(number) };
        // SAFETY: as above.
        let descriptor = unsafe { descriptor.read() };
        // SAFETY: it is this procedure's to close.
        unsafe { (functions.close)(descriptor.descriptor) };
    }
    let argument = if size == 0 {
        &[]
    } else {
        // SAFETY: the library says that `size` bytes are there, until the procedure returns.
        unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) }
    };
    let sum = answers.shape.look(argument).to_ne_bytes();
    let answer: &[u8] = if answers.shape.kind == Kind::Use {
        &sum
    } else {
        &answers.result
    };
    // SAFETY: the answer outlives the call; nothing in this frame has a destructor, so it may be left from within.
    unsafe {
        (functions.door_return)(
            answer.as_ptr().cast_mut().cast(),
            answer.len(),
            std::ptr::null_mut(),
            0,
        )
    };
}

/// The door at a path, opened by `open` as a C program would.
#[derive(Debug)]
pub(crate) struct Client {
    functions: &'static Functions,
    door: c_int,
}

impl Client {
    pub(crate) fn open(path: &CStr) -> io::Result<Self> {
        let functions = functions()?;
        // SAFETY: the path ends with a zero byte.
        let door = checked(unsafe { (functions.open)(path.as_ptr(), libc::O_RDONLY) })?;
        Ok(Self { functions, door })
    }

    /// One `door_call`. The answer, of the length returned, is in `room`, which must be large enough for it.
    #[inline]
    pub(crate) fn call(
        &self,
        argument: &[u8],
        descriptor: Option<c_int>,
        room: &mut [u8],
    ) -> io::Result<usize> {
        let mut sent = DoorDesc {
            attributes: DOOR_DESCRIPTOR,
            descriptor: descriptor.unwrap_or(-1),
            id: 0,
            unused: [0; 2],
        };
        let mut arg = DoorArg {
            data_ptr: argument.as_ptr().cast_mut().cast(),
            data_size: argument.len(),
            desc_ptr: &raw mut sent,
            desc_num: descriptor.is_some().into(),
            rbuf: room.as_mut_ptr().cast(),
            rsize: room.len(),
        };
        // SAFETY: every pointer of `arg` is to memory of the size it says; the argument is only read.
        checked(unsafe { (self.functions.door_call)(self.door, &raw mut arg) })?;
        if arg.data_size > room.len() {
            return Err(io::Error::other("the answer did not fit"));
        }
        Ok(arg.data_size)
    }
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
