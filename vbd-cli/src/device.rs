//! `--device`. A missing device is an error, never a silent fallback.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};

use crate::args::DeviceArgs;
use crate::error::Problem;

/// Device name from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceName {
    Cpu,
    Cuda(usize),
    Metal(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("expected cpu, cuda, cuda:N, metal or metal:N, got `{text}`");
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, number.parse().map_err(|_| problem())?),
            None => (text, 0),
        };
        match kind {
            "cpu" if text == "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(number)),
            "metal" => Ok(Self::Metal(number)),
            _ => Err(problem()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
            Self::Metal(number) => write!(formatter, "metal:{number}"),
        }
    }
}

/// Opens the device named on the command line.
pub(crate) fn open(args: &DeviceArgs) -> anyhow::Result<Device> {
    let name = if args.cpu {
        DeviceName::Cpu
    } else {
        args.device
    };
    let absent = |feature: &str| {
        Problem::new(format!(
            "device {name}: this vbd was built without {feature}"
        ))
        .hint(format!(
            "build it with `cargo build --release -p vbd-cli --features {feature}`"
        ))
    };
    let opened = match name {
        DeviceName::Cpu => return Ok(Device::Cpu),
        DeviceName::Cuda(_) if !cuda_is_available() => return Err(absent("cuda").into()),
        DeviceName::Metal(_) if !metal_is_available() => return Err(absent("metal").into()),
        DeviceName::Cuda(number) => Device::new_cuda(number),
        DeviceName::Metal(number) => Device::new_metal(number),
    };
    opened.with_context(|| format!("device {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        for (text, name) in [
            ("cpu", DeviceName::Cpu),
            ("cuda", DeviceName::Cuda(0)),
            ("cuda:1", DeviceName::Cuda(1)),
            ("metal:2", DeviceName::Metal(2)),
        ] {
            assert_eq!(text.parse(), Ok(name));
        }
        for text in ["gpu", "cuda:", "cuda:x", "cpu:0", ""] {
            assert!(text.parse::<DeviceName>().is_err(), "{text}");
        }
    }
}
