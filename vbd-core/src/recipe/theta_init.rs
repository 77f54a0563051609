//! Distribution of initial theta.

use serde::{Deserialize, Serialize};

/// Distribution of initial theta.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ThetaInit {
    /// Normal with variance `2 / fan_in` (He et al. 2015).
    #[default]
    He,
    /// Normal with this standard deviation.
    Normal(f32),
}

impl ThetaInit {
    /// Returns the standard deviation for a weight with `fan_in` inputs per output.
    pub fn deviation(self, fan_in: usize) -> f32 {
        match self {
            Self::He => (2.0 / fan_in as f32).sqrt(),
            Self::Normal(deviation) => deviation,
        }
    }
}

impl TryFrom<String> for ThetaInit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let normal = || {
            text.strip_prefix("normal(")?
                .strip_suffix(')')?
                .trim()
                .parse()
                .ok()
        };
        match normal() {
            Some(deviation) if (0.0..=1e3).contains(&deviation) => Ok(Self::Normal(deviation)),
            _ if text == "he" => Ok(Self::He),
            _ => Err(format!(
                "theta_init is `{text}`: expected `he` or `normal(STD)`"
            )),
        }
    }
}

impl From<ThetaInit> for String {
    fn from(init: ThetaInit) -> Self {
        match init {
            ThetaInit::He => "he".to_owned(),
            ThetaInit::Normal(deviation) => format!("normal({deviation})"),
        }
    }
}
