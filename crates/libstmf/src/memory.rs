//! Memory of the caller: pointers he passes, and lists handed to him.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use admin_proto::StmfStatus;

/// Runs the body of an export: its status as C sees it, and a panic as `STMF_STATUS_ERROR`.
pub(crate) fn export(body: impl FnOnce() -> Result<(), StmfStatus>) -> c_int {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(StmfStatus::Error));
    let code = outcome.err().map_or(0, StmfStatus::code);
    // Every code is below 0x10000.
    c_int::try_from(code).unwrap_or(c_int::MAX)
}

/// A copy of what the caller points at; `InvalidArg` for NULL.
///
/// # Safety
/// `pointer` is NULL or points at a `T` nobody writes meanwhile.
pub(crate) unsafe fn copy_in<T: Copy>(pointer: *const T) -> Result<T, StmfStatus> {
    if pointer.is_null() {
        return Err(StmfStatus::InvalidArg);
    }
    // SAFETY: not NULL, and the caller of this function promises the rest.
    Ok(unsafe { pointer.read() })
}

/// A place of the caller, checked, to be filled once the value is known.
#[derive(Clone, Copy)]
pub(crate) struct Out<T>(ptr::NonNull<T>);

impl<T> Out<T> {
    /// `InvalidArg` for NULL.
    ///
    /// # Safety
    /// `pointer` is NULL or may be written as long as the `Out` is used.
    pub(crate) unsafe fn new(pointer: *mut T) -> Result<Self, StmfStatus> {
        ptr::NonNull::new(pointer).map(Self).ok_or(StmfStatus::InvalidArg)
    }

    /// Writes the value; what was there is not looked at.
    pub(crate) fn set(self, value: T) {
        // SAFETY: `new` promised that the place may be written.
        unsafe { self.0.write(value) };
    }
}

/// A text of the caller; `InvalidArg` for NULL and for what is not UTF-8.
///
/// # Safety
/// `pointer` is NULL or points at a string that ends with NUL and outlives `'a` unchanged.
pub(crate) unsafe fn text_in<'a>(pointer: *const c_char) -> Result<&'a str, StmfStatus> {
    if pointer.is_null() {
        return Err(StmfStatus::InvalidArg);
    }
    // SAFETY: not NULL, and the caller of this function promises the rest.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| StmfStatus::InvalidArg)
}

/// Copies a text with its NUL to the caller, who says in `*length` how much room there is. `*length` becomes the room
/// needed; `InvalidArg` when there is less.
///
/// # Safety
/// `length` may be read and written; `value` has room for `*length` bytes.
pub(crate) unsafe fn text_out(text: &str, value: *mut c_char, length: *mut usize) -> Result<(), StmfStatus> {
    // SAFETY: promised by the caller of this function.
    let room = unsafe { copy_in(length.cast_const()) }?;
    // SAFETY: promised by the caller of this function.
    let needed = unsafe { Out::new(length) }?;
    needed.set(text.len() + 1);
    if value.is_null() || room <= text.len() {
        return Err(StmfStatus::InvalidArg);
    }
    // SAFETY: `value` has `room` bytes, more than the text is long; a Rust string cannot overlap memory of the caller.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), value.cast(), text.len()) };
    // SAFETY: the byte after the text is still inside the room.
    let end = unsafe { value.add(text.len()) };
    // SAFETY: as above.
    unsafe { end.write(0) };
    Ok(())
}

/// Allocates a list `{ uint32_t cnt; T item[cnt]; }` with malloc(3), which the caller frees with `stmfFreeMemory`.
pub(crate) fn list_out<T: Copy>(items: &[T], list: Out<*mut c_void>) -> Result<(), StmfStatus> {
    let count = u32::try_from(items.len()).map_err(|_| StmfStatus::NoMem)?;
    // The items begin at their alignment after the count; C declares one item, so there is always room for one.
    let start = size_of::<u32>().next_multiple_of(align_of::<T>());
    let bytes = size_of_val(items).max(size_of::<T>()) + start;
    // SAFETY: calloc(3) takes any sizes.
    let memory = unsafe { libc::calloc(1, bytes) };
    if memory.is_null() {
        return Err(StmfStatus::NoMem);
    }
    // SAFETY: the block is larger than a u32 and aligned for anything.
    unsafe { memory.cast::<u32>().write(count) };
    // SAFETY: `start` is inside the block.
    let first = unsafe { memory.byte_add(start) };
    // SAFETY: the block has room for all items from `start` on, which is aligned for them, and it is nobody else's.
    unsafe { ptr::copy_nonoverlapping(items.as_ptr(), first.cast::<T>(), items.len()) };
    list.set(memory);
    Ok(())
}

/// Frees a list of [`list_out`].
///
/// # Safety
/// `memory` is NULL, or comes from [`list_out`] and has not been freed.
pub(crate) unsafe fn free(memory: *mut c_void) {
    // SAFETY: promised by the caller of this function.
    unsafe { libc::free(memory) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_generic_status() {
        assert_eq!(export(|| panic!("as if by mistake")), 0x8000);
        assert_eq!(export(|| Ok(())), 0);
        assert_eq!(export(|| Err(StmfStatus::DoorInstalled)), 0x8026);
    }

    #[test]
    fn a_text_that_does_not_fit_tells_the_room_it_needs() {
        let mut buffer = [1; 4];
        let mut length = 3;
        // SAFETY: `buffer` has more than 3 bytes.
        let outcome = unsafe { text_out("abc", buffer.as_mut_ptr(), &raw mut length) };
        assert_eq!(
            (outcome, length, buffer),
            (Err(StmfStatus::InvalidArg), 4, [1; 4])
        );
        // SAFETY: `buffer` has 4 bytes.
        let outcome = unsafe { text_out("abc", buffer.as_mut_ptr(), &raw mut length) };
        assert_eq!((outcome, length), (Ok(()), 4));
        // SAFETY: `text_out` has written a string with its NUL.
        assert_eq!(unsafe { text_in(buffer.as_ptr()) }, Ok("abc"));
    }

    #[test]
    fn a_list_has_its_count_and_its_items() {
        let mut list: *mut c_void = ptr::null_mut();
        // SAFETY: `list` outlives the `Out`.
        let out = unsafe { Out::new(&raw mut list) }.unwrap();
        list_out(&[7_u64, 8], out).unwrap();
        // SAFETY: a list begins with its count.
        let count = unsafe { list.cast::<u32>().read() };
        // SAFETY: the items of a list of u64 begin at byte 8.
        let first = unsafe { list.byte_add(8) };
        // SAFETY: there are two.
        let items = unsafe { first.cast::<[u64; 2]>().read() };
        assert_eq!((count, items), (2, [7, 8]));
        // SAFETY: from `list_out`, freed once.
        unsafe { free(list) };
    }
}
