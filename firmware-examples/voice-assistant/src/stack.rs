//! How much RAM the program took: cortex-m-rt paints the stack before `main`, and what still has its paint was never used.

use core::ptr;

use cortex_m_rt::STACK_PAINT_VALUE;

use crate::console::Console;

unsafe extern "C" {
    // Of cortex-m-rt's linker script: the begin of variables, their end, and the stack's begin, above both.
    static __sdata: u32;
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Says how many bytes variables take, and how many the stack took at its deepest.
pub fn print(console: &mut Console) {
    let begin = (&raw const __sdata).addr();
    let end = (&raw const _stack_end).addr();
    let top = (&raw const _stack_start).addr();
    let painted = (end..top).step_by(4).take_while(|&address| {
        // SAFETY: aligned words between the linker's symbols are RAM; the stack may change them meanwhile, which
        // volatile reads allow.
        let word = unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u32>(address)) };
        word == STACK_PAINT_VALUE
    });
    let stack = top - end - 4 * painted.count();
    console.text("static ");
    console.number((end - begin) as u32);
    console.text(", stack ");
    console.number(stack as u32);
    console.text(" bytes of RAM\r\n");
}
