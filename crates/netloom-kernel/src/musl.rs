//! What Rust's standard library for glibc asks of the C library and musl does not have.
//!
//! A release is linked with musl where the machine has it (`cargo xtask dist` tells how and why):
//! static glibc asks the processor for its features some thirty times before `main`, which under a
//! hypervisor takes longer than the whole of a plugin's work. On x86-64 and aarch64 Linux the two
//! libraries agree on everything else that the standard library and this workspace call: musl keeps
//! glibc's symbol names, and the structures that are passed are the kernel's own. The linker names
//! whatever is missing, so nothing can be absent unnoticed.

#![expect(
    unsafe_code,
    reason = "symbols that the linker looks for, and a walk over the loaded objects"
)]

use std::ffi::{c_char, c_int, c_void};

/// The oldest glibc for which the standard library needs no work-around: musl has none of the
/// faults that it would work around.
// SAFETY: musl has no symbol of this name, so nothing else is replaced by it.
#[unsafe(no_mangle)]
extern "C" fn gnu_get_libc_version() -> *const c_char {
    c"2.26".as_ptr()
}

/// glibc's `struct dl_find_object` as libgcc's unwinder reads it on 64-bit machines.
#[repr(C)]
struct Found {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

/// What a look-up among the loaded objects is for, and what it found.
struct Search {
    address: usize,
    found: Option<(usize, usize, usize)>,
}

/// Finds the object that holds the address, and its table for unwinding: 0, or -1 when no object does.
// SAFETY: musl has no symbol of this name.
#[unsafe(no_mangle)]
// SAFETY: for libgcc's unwinder only, which passes a `Found` that may be written.
unsafe extern "C" fn _dl_find_object(address: *mut c_void, result: *mut Found) -> c_int {
    let mut search = Search {
        address: address as usize,
        found: None,
    };
    // SAFETY: the callback gets this very Search back, which outlives the call, and nothing else uses it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(look_into), (&raw mut search).cast()) };
    let Some((start, end, table)) = search.found else {
        return -1;
    };
    let found = Found {
        flags: 0,
        map_start: start as *mut c_void,
        map_end: end as *mut c_void,
        link_map: std::ptr::null_mut(),
        eh_frame: table as *mut c_void,
        reserved: [0; 7],
    };
    // SAFETY: the caller, libgcc's unwinder, passes a structure of its own of this shape.
    unsafe { result.write(found) };
    0
}

/// Stops (with 1) at the object that holds the address.
// SAFETY: for dl_iterate_phdr only, which passes a valid object and the Search that it was given.
unsafe extern "C" fn look_into(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: dl_iterate_phdr passes a valid object, and the Search that `_dl_find_object` gave it.
    let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
    // SAFETY: an object's program headers are as many as it says, and mapped as long as it is loaded.
    let headers =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let place = |header: &libc::Elf64_Phdr| {
        let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    };
    let of_kind = |kind| headers.iter().filter(move |header| header.p_type == kind);
    let holder = of_kind(libc::PT_LOAD)
        .map(place)
        .find(|(start, end)| (*start..*end).contains(&search.address));
    let table = of_kind(libc::PT_GNU_EH_FRAME).map(place).next();
    let (Some((start, end)), Some((table, _))) = (holder, table) else {
        return 0;
    };
    search.found = Some((start, end, table));
    1
}
