//! The last words of a module that traps: a fixed area that can be read after the trap.
//!
//! Only built for wasm32. A panic is a defect of ours; the instance is thrown away after it, and
//! this text is what the page can say about it. Modules that ship are built without it, and then
//! only the call that trapped is known. Must never allocate.

use core::cell::UnsafeCell;
use core::fmt::Write;
use core::panic::PanicInfo;

/// Enough for a place and a sentence.
const TEXT_BYTES: usize = 512;

struct PanicText {
    bytes: UnsafeCell<[u8; TEXT_BYTES]>,
    len: UnsafeCell<usize>,
}

// SAFETY: the module is built without shared memory, so only one thread ever runs in it.
unsafe impl Sync for PanicText {}

static TEXT: PanicText = PanicText {
    bytes: UnsafeCell::new([0; TEXT_BYTES]),
    len: UnsafeCell::new(0),
};

/// Appends to the area until it is full.
struct Appender;

impl Write for Appender {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // SAFETY: one thread, and these references end with this call; nothing else writes here.
        let (bytes, len) = unsafe { (&mut *TEXT.bytes.get(), &mut *TEXT.len.get()) };
        for c in text.chars() {
            let mut encoded = [0; 4];
            let encoded = c.encode_utf8(&mut encoded).as_bytes();
            if let Some(room) = bytes.get_mut(*len..*len + encoded.len()) {
                room.copy_from_slice(encoded);
                *len += encoded.len();
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = write!(Appender, "{}", info.message());
    if let Some(place) = info.location() {
        // Only the path inside the project: builds on other machines say the same.
        let path = inside_project(place.file()).unwrap_or("library");
        let _ = write!(Appender, " ({path}:{})", place.line());
    }
    core::arch::wasm32::unreachable()
}

/// What follows the first `crates/`. Bytes are compared because the library's search of text would
/// be two kilobytes of the module.
fn inside_project(path: &str) -> Option<&str> {
    const FOLDER: &[u8] = b"crates/";
    let mut windows = path.as_bytes().windows(FOLDER.len());
    path.get(windows.position(|part| part == FOLDER)? + FOLDER.len()..)
}

/// Address of the text that the last panic left; readable after the trap.
#[unsafe(no_mangle)]
pub extern "C" fn panic_text_ptr() -> u32 {
    TEXT.bytes.get().addr() as u32
}

/// Bytes of that text; 0 when there was no panic.
#[unsafe(no_mangle)]
pub extern "C" fn panic_text_len() -> u32 {
    // SAFETY: one thread, and the panic that wrote the length has ended in a trap.
    unsafe { *TEXT.len.get() as u32 }
}
