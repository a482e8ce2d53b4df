//! The smallest firmware that does all that a few-shot classifier does: less `minimal`, it is the code that learning adds.

#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

use flashvec::{FewShot, FewShotError, Model};
use flashvec_device::board;

fn learn(model: &Model, state: &mut [u8], scratch: &mut [u32]) -> Result<(), FewShotError> {
    let mut few_shot = match FewShot::restore(model, black_box(&mut *state)) {
        Ok(few_shot) => few_shot,
        Err(_) => FewShot::new(model, black_box(state))?,
    };
    few_shot.add_example(black_box("label"), black_box("hello"), scratch)?;
    few_shot.forget_example(black_box("label"), black_box("hello"), scratch)?;
    few_shot.forget_label(black_box("label"))?;
    let found = few_shot.classify(black_box("hello"), scratch)?;
    found.top(black_box(3)).for_each(|found| {
        black_box(few_shot.label(found.label));
    });
    black_box(found.best());
    few_shot.labels().for_each(|label| {
        black_box(label);
    });
    black_box(few_shot.save());
    Ok(())
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let (mut state, mut scratch) = ([0; 2048], [0; 1024]);
    if let Ok(model) = Model::from_bytes(board::image()) {
        black_box(learn(&model, &mut state, &mut scratch).is_ok());
    }
    loop {
        spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {
        spin_loop();
    }
}
