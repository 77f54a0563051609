//! What differs for some weights, and what each weight of a network comes to.

use serde::{Deserialize, Serialize};
use vbd_net::spec::NetSpec;

use super::{Method, MethodKind, ThetaInit};
use crate::error::Result;
use crate::prior::Prior;

/// What differs for some weights: the keys that it has replace the method's, but for `kl_weight`, which
/// multiplies. Where two rules are for one weight, a key of the last one counts. A rule with a `kind` takes that kind's
/// defaults for the others.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `weights` | | names of layers | which
/// `kind` | the method's | see [`MethodKind`] | what has a posterior, and its prior
/// `log_alpha_threshold` | the method's | finite | weights at or over it are pruned
/// `log_sigma2_init` | the method's | -40 to 20 | first `log_sigma2`
/// `theta_init` | the method's | `he`, `normal(S)` | first theta
/// `kl_weight` | 1 | 0 to 1e12 | factor on the KL, beside the method's
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which weights, by the names of their layers.
    pub weights: Vec<String>,
    /// What has a posterior, and its prior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MethodKind>,
    /// Weights at this `log_alpha` or over it are pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_alpha_threshold: Option<f32>,
    /// First value of every `log_sigma2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_sigma2_init: Option<f32>,
    /// How theta is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theta_init: Option<ThetaInit>,
    /// Factor on the KL, beside the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
}

/// What a recipe says of one weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightMethod {
    /// What has a posterior, and its prior.
    pub kind: MethodKind,
    /// Weights at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f32,
    /// First value of every `log_sigma2`.
    pub log_sigma2_init: f32,
    /// How theta is drawn.
    pub theta_init: ThetaInit,
    /// Factor on the KL, beside the method's.
    pub kl_weight: f64,
}

impl WeightMethod {
    /// The defaults of a kind.
    fn new(kind: MethodKind) -> Self {
        let method = Method::new(kind);
        Self::of(&method)
    }

    fn of(method: &Method) -> Self {
        Self {
            kind: method.kind,
            log_alpha_threshold: method.log_alpha_threshold,
            log_sigma2_init: method.log_sigma2_init,
            theta_init: method.theta_init,
            kl_weight: 1.0,
        }
    }

    /// The prior; `None` for a plain weight.
    pub fn prior(&self) -> Option<Prior> {
        self.kind.prior()
    }

    fn follow(&mut self, rule: &Rule) {
        if let Some(kind) = rule.kind {
            *self = Self::new(kind);
        }
        let Self {
            log_alpha_threshold,
            log_sigma2_init,
            theta_init,
            kl_weight,
            ..
        } = self;
        *log_alpha_threshold = rule.log_alpha_threshold.unwrap_or(*log_alpha_threshold);
        *log_sigma2_init = rule.log_sigma2_init.unwrap_or(*log_sigma2_init);
        *theta_init = rule.theta_init.unwrap_or(*theta_init);
        *kl_weight = rule.kl_weight.unwrap_or(*kl_weight);
    }
}

impl Method {
    /// What holds for each weight of a network, in order.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if a rule is for no layer with a weight; or as [`NetSpec::resolve`].
    pub fn of_weights(&self, spec: &NetSpec) -> Result<Vec<WeightMethod>> {
        let graph = spec.resolve()?;
        let mut methods = vec![WeightMethod::of(self); graph.weights().len()];
        for rule in &self.rules {
            for name in &rule.weights {
                let mut weights = graph.weights().iter();
                let Some(number) = weights.position(|weight| weight.layer == *name) else {
                    let names = graph.weights().iter();
                    let names: Vec<_> = names.map(|w| format!("`{}`", w.layer)).collect();
                    let names = names.join(", ");
                    let problem = format!(
                        "`method.rule` names no layer with weights: expected one of {names}"
                    );
                    return Err(spec.problem(name, problem).into());
                };
                methods[number].follow(rule);
            }
        }
        Ok(methods)
    }
}
