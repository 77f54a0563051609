//! A recipe: how a network is trained, as data (`vbd-models/recipes`, or a user's own TOML file).

mod check;
mod method;
mod network;
mod theta_init;
mod train;

use serde::{Deserialize, Serialize};

pub use method::{GateSetting, LayerSetting, Method, MethodKind, is_tempered};
pub use network::NetToml;
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
    use vbd_net::spec::NetSpec;

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
    fn a_layers_kl_weight_finds_its_layer_or_says_which_there_are() {
        let net = "name = 'n'\ninput = [4]\nclasses = 2\n\
            [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 3\n\
            [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = 2\n";
        let net = NetSpec::from_toml(net, "n").unwrap();
        let factors = |names: &[&str]| {
            let layer = |name| format!("[[method.layer]]\nname = '{name}'\nkl_weight = 4.0\n");
            let text = TEXT.to_owned() + &names.iter().map(layer).collect::<String>();
            let recipe = Recipe::from_toml(&text, "r").unwrap();
            let again = Recipe::from_toml(&recipe.to_toml().unwrap(), "r").unwrap();
            assert_eq!(again, recipe);
            recipe.method.layer_kl_weights(&net)
        };
        assert_eq!(factors(&[]).unwrap(), [1.0, 1.0]);
        assert_eq!(factors(&["fc2"]).unwrap(), [1.0, 4.0]);
        let error = factors(&["conv1"]).unwrap_err().to_string();
        assert!(
            error.contains("conv1") && error.contains("`fc1`, `fc2`"),
            "{error}"
        );
        let error = factors(&["fc1", "fc1"]).unwrap_err().to_string();
        assert!(error.contains("two tables"), "{error}");
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
        for (kind, line, field) in [
            ("vbd", "kl_weight = -1.0", "method.layer.kl_weight"),
            ("vbd", "weight = 1.0", "kl_weight"),
            ("dense", "kl_weight = 2.0", "method.layer"),
        ] {
            let text = TEXT.replace("vbd", kind) + "[[method.layer]]\nname = 'fc1'\n" + line;
            let error = Recipe::from_toml(&text, "r").unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let error = Recipe::from_toml(&TEXT.replace("normal(0.01)", "norm"), "r").unwrap_err();
        assert!(error.to_string().contains("theta_init"), "{error}");
    }
}
