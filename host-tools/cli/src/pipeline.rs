//! Blocks of texts through threads, in order.

use std::sync::{Condvar, Mutex, PoisonError};

use flashvec_support::{Bar, Progress};

use crate::error::{Error, Result};
use crate::texts::{Block, Blocks};

/// Works on blocks in `threads` threads, each of which takes the next block, works, and waits for its turn to write.
/// No thread holds more than one block.
///
/// `worker` makes what a thread works with. `work` leaves what is to be written in its last argument, also of a block
/// that it fails on. Once something failed, nothing that comes after it is written.
///
/// # Errors
/// What went wrong first, in the order of the input.
pub fn run<W, R: Default>(
    threads: usize,
    blocks: Blocks,
    bar: &Bar,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, &Block, &mut R) -> Result<()> + Sync,
    write: impl FnMut(&mut R) -> Result<()> + Send,
) -> Result<()> {
    let pipeline = Pipeline {
        worker,
        work,
        bar,
        input: Mutex::new(Input {
            blocks,
            taken: 0,
            ended: false,
        }),
        output: Mutex::new(Output {
            write,
            written: 0,
            failed: None,
        }),
        turn: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| pipeline.run());
        }
        pipeline.run();
    });
    let output = pipeline
        .output
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    output.failed.map_or(Ok(()), Err)
}

struct Pipeline<'p, F, G, H> {
    worker: F,
    work: G,
    bar: &'p Bar,
    input: Mutex<Input>,
    output: Mutex<Output<H>>,
    /// Another block may be written, or none any more.
    turn: Condvar,
}

struct Input {
    blocks: Blocks,
    /// Blocks taken so far: the number of the next.
    taken: usize,
    ended: bool,
}

struct Output<H> {
    write: H,
    /// Blocks written so far: the number of the one whose turn it is.
    written: usize,
    /// What went wrong first, in the order of the input.
    failed: Option<Error>,
}

impl<F, G, H> Pipeline<'_, F, G, H> {
    fn run<W, R: Default>(&self)
    where
        F: Fn() -> W,
        G: Fn(&mut W, &Block, &mut R) -> Result<()>,
        H: FnMut(&mut R) -> Result<()>,
    {
        let mut worker = (self.worker)();
        let mut results = R::default();
        while let Some((number, block)) = self.take() {
            let (bytes, worked) = match block {
                Ok(block) => (block.len(), (self.work)(&mut worker, &block, &mut results)),
                Err(error) => {
                    results = R::default();
                    (0, Err(error))
                }
            };
            if !self.put(number, &mut results, worked) {
                return;
            }
            self.bar.advance(bytes as u64);
        }
    }

    /// The next block, or why there is none, and its number; `None` at the end.
    fn take(&self) -> Option<(usize, Result<Block>)> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if input.ended {
            return None;
        }
        let block = input.blocks.next();
        input.ended = !matches!(block, Ok(Some(_)));
        let number = input.taken;
        input.taken += 1;
        Some((number, block.transpose()?))
    }

    /// Writes a block's results when all before it are written; whether to go on.
    fn put<R>(&self, number: usize, results: &mut R, worked: Result<()>) -> bool
    where
        H: FnMut(&mut R) -> Result<()>,
    {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        while output.written < number && output.failed.is_none() {
            output = self
                .turn
                .wait(output)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if output.failed.is_none() {
            output.failed = (output.write)(results).and(worked).err();
        }
        output.written += 1;
        self.turn.notify_all();
        output.failed.is_none()
    }
}
