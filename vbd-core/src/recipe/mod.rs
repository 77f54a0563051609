//! Recipes: how a network is trained, as data (`vbd-models/recipes`, or a user's own TOML file).

mod check;
mod gate;
mod keys;
mod method;
mod network;
mod rule;
mod theta_init;
mod train;

use serde::{Deserialize, Serialize};

pub use crate::gate::GateKind;
pub use crate::method::MethodKind;
pub use gate::GateSetting;
pub use keys::{Key, KeyValue, Keys, Range, Settings, Value};
pub use method::{Method, is_tempered};
pub use network::NetToml;
pub use rule::{WeightRule, WeightSetting};
pub use theta_init::ThetaInit;
pub use train::{AugmentSetting, OptimizerKind, Schedule, Train};

use crate::error::{Error, Result};
use crate::toml_file;

/// Everything that determines a run, except the data and the network's layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Summary in one line.
    pub summary: String,
    /// Name of a network or path to its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Method on weights and units.
    pub method: Method,
    /// Optimisation.
    #[serde(default)]
    pub train: Train,
}

impl Recipe {
    /// Parses a recipe. `origin` names the text in errors.
    ///
    /// # Errors
    /// [`crate::Error::Toml`] if the text is invalid TOML, has an unknown key or lacks one;
    /// [`crate::Error::Recipe`] if a value is out of range.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let recipe: Self = toml_file::parse(text, origin).map_err(renamed)?;
        recipe.check(origin).map_err(renamed)?;
        Ok(recipe)
    }

    /// Serialises the recipe as TOML.
    ///
    /// # Errors
    /// [`crate::Error::TomlWrite`] if a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Checks the range of every value. `origin` names the recipe in errors.
    ///
    /// # Errors
    /// [`crate::Error::Recipe`] naming the field.
    pub fn check(&self, origin: &str) -> Result<()> {
        self.method.check(origin)?;
        let mut checks = self.train.checks().into_iter();
        checks.try_for_each(|check| check.pass(origin))
    }
}

/// Extends errors about removed kinds and keys with their replacement.
fn renamed(error: Error) -> Error {
    let Error::Toml {
        origin, message, ..
    } = &error
    else {
        return error;
    };
    let gates = "use `kind = \"dense\"` and `[[method.gate]]` tables with `prior = ";
    let now = if message.contains("`vbd-neurons`") {
        format!("{gates}\"hierarchical\"`")
    } else if message.contains("`vd-neurons`") {
        format!("{gates}\"log-uniform\"`")
    } else if message.contains("unknown field `layer`") {
        "use `[[method.rule]]` with `weights = [\"NAME\"]`".to_owned()
    } else {
        return error;
    };
    Error::Toml {
        origin: origin.clone(),
        message: format!("{message}\n{now}"),
        nearest: None,
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
    fn the_keys_of_the_last_rule_replace_the_methods_and_its_kl_weight_multiplies() {
        let net = "name = 'n'\ninput = [4]\nclasses = 2\n\
            [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 3\n\
            [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = 2\n";
        let net = NetSpec::from_toml(net, "n").unwrap();
        let methods = |rules: &[&str]| {
            let rules: Vec<&str> = rules
                .iter()
                .flat_map(|rule| {
                    [
                        "[[method.rule]]
",
                        rule,
                        "
",
                    ]
                })
                .collect();
            let rules = rules.concat();
            let text = format!("{TEXT}log_alpha_threshold = 2.0\n{rules}");
            let recipe = Recipe::from_toml(&text, "r").unwrap();
            let again = Recipe::from_toml(&recipe.to_toml().unwrap(), "r").unwrap();
            assert_eq!(again, recipe);
            recipe.method.of_weights(&net)
        };
        let threshold = |setting: &WeightSetting| setting.method.log_alpha_threshold();
        let plain = methods(&[]).unwrap().remove(0);
        assert_eq!((threshold(&plain), plain.kl_weight), (Some(2.0), 1.0));
        let ruled = methods(&[
            "weights = ['fc1', 'fc2']\nkl_weight = 4.0\nlog_alpha_threshold = 1.0",
            "weights = ['fc2']\nkl_weight = 3.0",
        ]);
        let ruled = ruled.unwrap();
        assert_eq!((ruled[0].kl_weight, ruled[1].kl_weight), (4.0, 3.0));
        assert_eq!(threshold(&ruled[1]), Some(1.0));
        // a kind brings its own defaults
        let mixed = methods(&["weights = ['fc1']\nkind = 'dense'"]).unwrap();
        assert!(mixed[0].method.is_plain());
        assert_eq!(mixed[0].theta_init, ThetaInit::He);
        assert_eq!(format!("{:?}", mixed[1]), format!("{plain:?}"));
        let own = methods(&["weights = ['fc1']\nkind = 'vd'"]).unwrap();
        assert_eq!(threshold(&own[0]), Some(3.0));
        let error = methods(&["weights = ['conv1']"]).unwrap_err().to_string();
        assert!(
            error.contains("conv1") && error.contains("`fc1`, `fc2`"),
            "{error}"
        );
    }

    #[test]
    fn words_of_before_name_those_of_now() {
        let error = |text: &str| Recipe::from_toml(text, "r").unwrap_err().to_string();
        let neurons = |kind| error(&TEXT.replace("'vbd'", kind));
        assert!(neurons("'vbd-neurons'").contains("prior = \"hierarchical\""));
        assert!(neurons("'vd-neurons'").contains("prior = \"log-uniform\""));
        let layer = error(&format!("{TEXT}[[method.layer]]\nname = 'fc1'"));
        assert!(layer.contains("[[method.rule]]"), "{layer}");
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
        for (line, field) in [
            ("kl_weight = -1.0", "method.rule.kl_weight"),
            ("log_sigma2_init = 99.0", "method.rule.log_sigma2_init"),
            ("weight = 1.0", "kl_weight"),
        ] {
            let text = format!("{TEXT}[[method.rule]]\nweights = ['fc1']\n{line}");
            let error = Recipe::from_toml(&text, "r").unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let error = Recipe::from_toml(&TEXT.replace("normal(0.01)", "norm"), "r").unwrap_err();
        assert!(error.to_string().contains("theta_init"), "{error}");
    }
}
