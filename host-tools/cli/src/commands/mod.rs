//! One file a command.

pub mod bench;
pub mod classify;
#[cfg(feature = "distiller")]
pub mod convert;
#[cfg(feature = "distiller")]
pub mod distill;
pub mod encode;
#[cfg(feature = "distiller")]
pub mod eval;
#[cfg(feature = "distiller")]
pub mod flash;
pub mod inspect;
#[cfg(feature = "manual")]
pub mod manual;
#[cfg(feature = "distiller")]
pub mod pareto;
#[cfg(feature = "distiller")]
pub mod pretrain;
#[cfg(feature = "distiller")]
pub mod report;
pub mod tokenize;
#[cfg(feature = "distiller")]
pub mod train;
pub mod verify;
