//! The instruction set of the CPU kernels: the best available, or the one named by the environment
//! variable `VBD_SIMD`, which only this module reads.
//!
//! Kernels are written once with [`pulp::Simd`] and compiled for each instruction set. All give the
//! same bits: a kernel adds and multiplies in one order, whatever the width of its vectors.

use std::ffi::OsStr;
use std::fmt;
use std::sync::OnceLock;

use pulp::Arch;

/// Environment variable with the name of the instruction set.
pub const VARIABLE: &str = "VBD_SIMD";

/// An instruction set that the kernels are compiled for.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// Scalar code for any machine. Slow where fused multiply-adds are function calls.
    Scalar,
    /// 16 registers of 8 lanes (x86-64-v3: AVX2 and FMA).
    Avx2,
    /// 32 registers of 16 lanes (x86-64-v4: AVX-512 F, BW, CD, DQ and VL).
    Avx512,
    /// 32 registers of 4 lanes (64-bit ARM).
    Neon,
}

/// Error: the requested instruction set is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} is `{found}`: expected {}", listed(available))]
pub struct UnknownInstructionSet {
    /// Value of the variable.
    pub found: String,
    /// Instruction sets of this machine.
    pub available: Vec<InstructionSet>,
}

fn listed(sets: &[InstructionSet]) -> String {
    let names: Vec<&str> = sets.iter().map(|set| set.name()).collect();
    format!("{} on this machine", names.join(" or "))
}

impl InstructionSet {
    const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Neon];

    /// Returns the name used by `VBD_SIMD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    /// Returns the instruction sets of this machine, from the narrowest to the best.
    pub fn available() -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|set| set.arch().is_some()).collect()
    }

    /// Returns the set's `pulp` dispatch, if this machine has it.
    fn arch(self) -> Option<Arch> {
        match self {
            Self::Scalar => Some(Arch::Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            _ => None,
        }
    }

    /// Chooses the best set of this machine, or the one named by `value`.
    fn choose(value: Option<&OsStr>) -> Result<Self, UnknownInstructionSet> {
        let available = Self::available();
        let chosen = match value {
            Some(value) => available.iter().find(|set| value == set.name()),
            None => available.last(),
        };
        chosen.copied().ok_or_else(|| UnknownInstructionSet {
            found: value.unwrap_or_default().to_string_lossy().into_owned(),
            available,
        })
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn chosen() -> &'static Result<InstructionSet, UnknownInstructionSet> {
    static CHOSEN: OnceLock<Result<InstructionSet, UnknownInstructionSet>> = OnceLock::new();
    CHOSEN.get_or_init(|| InstructionSet::choose(std::env::var_os(VARIABLE).as_deref()))
}

/// Returns the instruction set of this process. Reads `VBD_SIMD` at the first call.
///
/// # Errors
/// [`UnknownInstructionSet`] if `VBD_SIMD` names an unknown or unavailable set.
pub fn instruction_set() -> Result<InstructionSet, UnknownInstructionSet> {
    chosen().clone()
}

/// Returns the dispatch of `pulp`. If [`instruction_set`] is an error, which engines and plans
/// return on creation, this is scalar code, which gives the same bits.
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| {
        let set = chosen().as_ref().ok();
        set.and_then(|set| set.arch()).unwrap_or(Arch::Scalar)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_set_is_used_unless_the_variable_names_another() {
        let available = InstructionSet::available();
        assert_eq!(InstructionSet::choose(None).ok(), available.last().copied());
        for set in InstructionSet::ALL {
            let chosen = InstructionSet::choose(Some(OsStr::new(set.name())));
            if available.contains(&set) {
                assert_eq!(chosen, Ok(set));
            } else {
                assert_eq!(chosen.unwrap_err().available, available);
            }
        }
        let error = InstructionSet::choose(Some(OsStr::new("AVX2"))).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("VBD_SIMD is `AVX2`: expected scalar")
        );
    }
}
