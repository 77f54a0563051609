//! A recipe: how a network is trained, as data (`vbd-models/recipes`, or a user's own TOML file).

mod check;
mod method;
mod theta_init;
mod train;

use serde::{Deserialize, Serialize};

pub use method::{GateSetting, Method, MethodKind};
pub use theta_init::ThetaInit;
pub use train::Train;

use crate::error::Result;
use crate::toml_file;

/// Everything that a run depends on but the data and the network's layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One line for lists.
    pub summary: String,
    /// Name of a network, or path of its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What is learnt about each weight.
    pub method: Method,
    /// How it is learnt.
    #[serde(default)]
    pub train: Train,
}

impl Recipe {
    /// Reads a recipe; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`crate::Error::Toml`] if the text is no TOML, has an unknown key, or lacks one;
    /// [`crate::Error::Recipe`] if a value is out of range.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let recipe: Self = toml_file::parse(text, origin)?;
        recipe.check(origin)?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// [`crate::Error::TomlWrite`] if a value has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Checks every value's range; `origin` names the recipe in errors.
    ///
    /// # Errors
    /// [`crate::Error::Recipe`] naming the field.
    pub fn check(&self, origin: &str) -> Result<()> {
        let checks = self.method.checks().into_iter().chain(self.train.checks());
        for check in checks {
            check.pass(origin)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "summary = 's'\n[method]\nkind = 'vbd'\ntheta_init = 'normal(0.01)'\n";

    #[test]
    fn a_recipe_survives_toml() {
        let recipe = Recipe::from_toml(TEXT, "r").unwrap();
        assert_eq!(recipe.method.theta_init, ThetaInit::Normal(0.01));
        assert_eq!(recipe.train, Train::default());
        assert_eq!(
            Recipe::from_toml(&recipe.to_toml().unwrap(), "r").unwrap(),
            recipe
        );
    }

    #[test]
    fn bad_values_name_their_field() {
        for (line, field) in [
            ("epochs = 0", "train.epochs"),
            ("lr = -1.0", "train.lr"),
            ("kl_warmup = [0.2, 0.1]", "train.kl_warmup"),
            ("lr = nan", "train.lr"),
            ("kl_warmup = [0.1, 0.2, 0.3]", "kl_warmup"),
        ] {
            let error = Recipe::from_toml(&format!("{TEXT}[train]\n{line}"), "r").unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let error = Recipe::from_toml(&TEXT.replace("normal(0.01)", "norm"), "r").unwrap_err();
        assert!(error.to_string().contains("theta_init"), "{error}");
    }
}
