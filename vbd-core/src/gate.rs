//! Where the gates of a method lie in a network, and which weights go with their units.
//!
//! A gate multiplies every unit behind a layer by `theta + sigma eps` (Liu et al. 2019, eq. 19). A unit
//! is a feature, or a channel of an image. It lies behind the layer's activation and pooling, so that
//! the next layer with a weight reads what it gives: theta folds into that weight's columns.

use crate::error::Result;
use crate::recipe::{GateSetting, Method};
use vbd_net::spec::{LayerSpec, NetSpec, Shape};

/// A gate of a method at its place in a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// What it lies behind: `input`, `flatten`, or a layer's name.
    pub after: String,
    /// Number of features or channels.
    pub units: usize,
    /// Values of a unit: 1, or the positions of a channel.
    pub area: usize,
    /// Factor on its KL, beside the method's.
    pub kl_weight: f64,
    /// Units at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f32,
    /// Index of the network's layer in front of which it lies.
    pub place: usize,
    /// Index of the weight whose rows are the units; `None` behind the input or a flattening.
    pub producer: Option<usize>,
    /// Index of the weight whose columns read the units.
    pub reader: usize,
    /// Columns of that weight that read one unit: its values, or the taps of a kernel.
    pub reader_columns: usize,
}

impl Gate {
    /// The gates of a method, in the order of the network.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if a gate lies behind nothing that the network has, behind its last
    /// layer, or where another one lies; or as [`NetSpec::shapes`].
    pub fn all(spec: &NetSpec, method: &Method) -> Result<Vec<Self>> {
        let mut gates = Vec::new();
        for setting in &method.gates {
            gates.push(Self::new(spec, method, setting)?);
        }
        gates.sort_by_key(|gate| gate.place);
        for pair in gates.windows(2) {
            if pair[0].place == pair[1].place {
                return Err(spec
                    .problem(&pair[1].after, "two gates lie behind it")
                    .into());
            }
        }
        Ok(gates)
    }

    fn new(spec: &NetSpec, method: &Method, setting: &GateSetting) -> Result<Self> {
        let (shapes, weights) = (spec.shapes()?, spec.weights()?);
        let after = &setting.after;
        let (place, producer) = place(spec, after).ok_or_else(|| {
            let problem = format!("no place for a gate: expected one of {}", known(spec));
            spec.problem(after, problem)
        })?;
        let reader = spec.layers[..place]
            .iter()
            .filter(|layer| layer.name().is_some())
            .count();
        let Some(weight) = weights.get(reader) else {
            let problem = "a gate behind the last layer would prune classes";
            return Err(spec.problem(after, problem).into());
        };
        let behind = spec.layers[place..].iter();
        let mut between = behind.take_while(|layer| layer.name().is_none());
        if between.any(is_per_unit) {
            let problem = "a ReLU or a pooling lies between the gate and the layer that reads it, and \
                           theta, which may be negative, cannot fold through";
            return Err(spec.problem(after, problem).into());
        }
        let is_flat = producer.is_none() && spec.is_flat_at(place);
        let (units, area) = match shapes[place] {
            Shape::Image {
                channels,
                height,
                width,
            } if !is_flat => (channels, height * width),
            shape => (shape.len(), 1),
        };
        Ok(Self {
            after: after.clone(),
            units,
            area,
            kl_weight: setting.kl_weight,
            log_alpha_threshold: setting
                .log_alpha_threshold
                .unwrap_or(method.log_alpha_threshold),
            place,
            producer,
            reader,
            reader_columns: weight.cols() / units,
        })
    }

    /// The unit that a column of the reader reads.
    pub(crate) fn unit_read_by(&self, column: usize) -> usize {
        column / self.reader_columns
    }
}

/// The layer in front of which a gate lies that is `after` something, and the weight that makes it.
fn place(spec: &NetSpec, after: &str) -> Option<(usize, Option<usize>)> {
    if after == "input" {
        return Some((0, None));
    }
    let layers = &spec.layers;
    if after == "flatten" {
        let mut flattens = (0..layers.len()).filter(|&i| layers[i] == LayerSpec::Flatten {});
        let first = flattens.next()?;
        let place = behind_activation(layers, first + 1);
        return flattens.next().is_none().then_some((place, None));
    }
    let layer = layers
        .iter()
        .position(|layer| layer.name() == Some(after))?;
    let producer = layers[..layer]
        .iter()
        .filter(|layer| layer.name().is_some())
        .count();
    Some((behind_activation(layers, layer + 1), Some(producer)))
}

/// The place behind the activation and the pooling that begin at `from`.
fn behind_activation(layers: &[LayerSpec], from: usize) -> usize {
    let behind = layers[from..].iter();
    from + behind.take_while(|layer| is_per_unit(layer)).count()
}

/// Whether a layer has no weight and works on each unit by itself.
fn is_per_unit(layer: &LayerSpec) -> bool {
    matches!(layer, LayerSpec::Relu {} | LayerSpec::MaxPool2d { .. })
}

/// What a gate may lie behind.
fn known(spec: &NetSpec) -> String {
    let mut names: Vec<&str> = spec.layers.iter().filter_map(LayerSpec::name).collect();
    names.pop();
    let is_flatten = |layer: &&LayerSpec| **layer == LayerSpec::Flatten {};
    if spec.layers.iter().filter(is_flatten).count() == 1 {
        names.push("flatten");
    }
    names.insert(0, "input");
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::NetToml;
    use crate::recipe::Recipe;

    const CONV: &str = "name = 'n'\ninput = [2, 8, 8]\nclasses = 3\n\
        [[layer]]\nkind = 'conv2d'\nname = 'conv1'\nout_channels = 4\nkernel = 3\n\
        [[layer]]\nkind = 'relu'\n[[layer]]\nkind = 'max_pool2d'\nkernel = 2\n\
        [[layer]]\nkind = 'flatten'\n\
        [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 5\n[[layer]]\nkind = 'relu'\n\
        [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = 3\n";

    fn gates(net: &str, after: &[&str]) -> Result<Vec<Gate>> {
        let gates = after
            .iter()
            .map(|after| format!("[[method.gate]]\nafter = '{after}'\n"));
        let text = format!("summary = ''\n[method]\nkind = 'vbd-neurons'\n{}", {
            gates.collect::<String>()
        });
        let recipe = Recipe::from_toml(&text, "r").unwrap();
        Gate::all(&NetSpec::from_toml(net, "n").unwrap(), &recipe.method)
    }

    #[test]
    fn gates_lie_behind_activation_and_pooling_in_the_order_of_the_network() {
        let gates = gates(CONV, &["fc1", "flatten", "input", "conv1"]).unwrap();
        let found = gates.iter().map(|gate| {
            let Gate {
                after,
                units,
                area,
                place,
                producer,
                reader,
                reader_columns,
                ..
            } = gate;
            let numbers = [*units, *area, *place, *reader, *reader_columns];
            (after.as_str(), numbers, *producer)
        });
        let expected = [
            ("input", [2, 64, 0, 0, 9], None),
            ("conv1", [4, 9, 3, 1, 9], Some(0)),
            ("flatten", [36, 1, 4, 1, 1], None),
            ("fc1", [5, 1, 6, 2, 1], Some(1)),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_image_that_a_linear_layer_reads_has_a_unit_a_pixel() {
        let net = "name = 'n'\ninput = [1, 3, 3]\nclasses = 2\n\
            [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2\n";
        let gates = gates(net, &["input"]).unwrap();
        assert_eq!((gates[0].units, gates[0].area), (9, 1));
    }

    #[test]
    fn a_gate_that_has_no_place_is_refused_and_the_places_are_named() {
        let error = |after: &[&str]| gates(CONV, after).unwrap_err().to_string();
        assert!(error(&["fc9"]).contains("`fc1`"), "{}", error(&["fc9"]));
        assert!(error(&["fc2"]).contains("classes"));
        assert!(error(&["fc1", "fc1"]).contains("two gates"));
        let relu = "[[layer]]\nkind = 'relu'\n";
        let flatten = "[[layer]]\nkind = 'flatten'\n";
        let net = CONV.replace(flatten, &format!("{flatten}{relu}"));
        let error = gates(&net, &["conv1"]).unwrap_err().to_string();
        assert!(error.contains("cannot fold"), "{error}");
        let behind = gates(&net, &["flatten"]).unwrap();
        assert_eq!((behind[0].place, behind[0].units), (5, 36));
    }
}
