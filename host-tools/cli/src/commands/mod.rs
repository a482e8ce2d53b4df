//! One file a command.

pub mod bench;
pub mod convert;
pub mod distill;
pub mod encode;
pub mod eval;
pub mod flash;
pub mod inspect;
pub mod pareto;
pub mod pretrain;
pub mod report;
pub mod tokenize;
pub mod train;
pub mod verify;
