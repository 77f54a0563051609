//! Random networks of every kind of layer, with random tensors. Other crates' tests include this
//! file by its path, beside `draws.rs`: the network comes first, so that they can train it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part, and fails by panics"
)]

use vbd_net::graph::{Shape, TensorSlot};
use vbd_net::ops::{
    Add, AvgPool2d, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, Relu, Scale, Select, Softplus,
};
use vbd_net::spec::{
    Groups, LayerSpec, Measurement, NetSpec, Normalize, Padding, PoolWindow, Sides, Statistic,
};

use super::draws::Draws;

/// Dense tensors by name, as [`vbd_net::PrunedNet::from_parts`] takes them.
pub(crate) type NamedTensors = Vec<(String, Vec<f32>)>;

/// Maximum number of layers but the last two.
const LAYERS: usize = 10;

/// Which kinds a random network has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Those of a network to train.
    Trained,
    /// `scale` and `select` too, which pruning writes.
    All,
}

/// Returns a random network of up to twelve layers.
pub(crate) fn random_spec(seed: u64, kinds: Kinds) -> NetSpec {
    let draws = &mut Draws(seed);
    let input = match draws.below(8) {
        0 => vec![2 + draws.below(9)],
        1 => vec![4 + draws.below(4); 3],
        _ => vec![1 + draws.below(4), 3 + draws.below(9), 3 + draws.below(9)],
    };
    let normalize = random_normalize(draws, input[0]);
    let layer = r#"{"kind": "linear", "name": "l", "out_features": 1}"#;
    let json = format!(r#"{{"name": "n", "input": [1], "classes": 1, "layer": [{layer}]}}"#);
    let mut spec = NetSpec::from_json(&json).unwrap();
    spec.name = format!("net-{seed}");
    spec.input.clone_from(&input);
    spec.classes = Some(1 + draws.below(5));
    spec.normalize = normalize;
    let shape = match input[..] {
        [channels, height, width] => Shape::Image {
            channels,
            height,
            width,
        },
        _ => Shape::Features(input[0]),
    };
    let outputs = spec.output_len();
    let mut net = Net {
        draws,
        kinds,
        layers: Vec::new(),
        left: LAYERS,
    };
    let mut at = (None, shape);
    while net.left > 0 && net.draws.below(8) > 0 {
        at = net.block(at, 0);
    }
    if let Shape::Image { .. } = at.1
        && net.draws.below(2) == 0
    {
        at = net.push(at, |_| LayerSpec::Flatten(Flatten::default()));
    }
    let bias = net.draws.below(4) > 0;
    net.push(at, |name| {
        LayerSpec::Linear(Linear {
            name,
            input: None,
            out_features: outputs,
            bias,
        })
    });
    spec.layers = net.layers;
    spec
}

fn random_normalize(draws: &mut Draws, channels: usize) -> Normalize {
    let image = || Statistic::Measured(Measurement::Image);
    let each =
        |value: f64| Statistic::Channels((1..=channels).map(|at| value / at as f64).collect());
    let (mean, std) = match draws.below(6) {
        0 => (Statistic::Number(0.4), Statistic::Number(0.3)),
        1 => (image(), Statistic::Number(0.5)),
        2 => (image(), image()),
        3 => (each(0.5), each(0.7)),
        _ => (Statistic::Number(0.0), Statistic::Number(1.0)),
    };
    Normalize {
        scale: 1.0 / 256.0,
        mean,
        std,
    }
}

/// Name of a layer, `None` for the input, and its shape.
type At = (Option<String>, Shape);

struct Net<'a> {
    draws: &'a mut Draws,
    kinds: Kinds,
    layers: Vec<LayerSpec>,
    /// Number of layers that may follow.
    left: usize,
}

impl Net<'_> {
    /// Appends a layer that reads `at`. Every layer has a name, and names what it reads unless that
    /// is the layer above it.
    fn push(&mut self, at: At, layer: impl FnOnce(String) -> LayerSpec) -> At {
        let name = format!("l{}", self.layers.len() + 1);
        let mut layer = layer(name.clone());
        layer.kind_mut().set_name(name.clone());
        let above = self.layers.last().and_then(|layer| layer.kind().name());
        if above != at.0.as_deref() {
            let read = at.0.unwrap_or_else(|| "input".to_owned());
            layer.kind_mut().set_input(0, Some(read));
        }
        let shape = layer.kind().output(&[at.1]).unwrap();
        self.layers.push(layer);
        self.left = self.left.saturating_sub(1);
        (Some(name), shape)
    }

    /// Appends a layer, or a residual block.
    fn block(&mut self, at: At, depth: usize) -> At {
        if depth < 2 && self.left >= 3 && self.draws.below(4) == 0 {
            return self.residual(&at, depth);
        }
        let (image, all) = (
            matches!(at.1, Shape::Image { .. }),
            self.kinds == Kinds::All,
        );
        match self.draws.below(12) {
            0..=3 => {
                let at = if image {
                    self.conv(at)
                } else {
                    self.linear(at)
                };
                if self.draws.below(3) > 0 {
                    return at;
                }
                self.push(at, |name| LayerSpec::BatchNorm(BatchNorm::new(&name)))
            }
            4 if image => self.conv(at),
            5 => self.push(at, |name| LayerSpec::BatchNorm(BatchNorm::new(&name))),
            6 => self.push(at, |_| LayerSpec::Relu(Relu::default())),
            7 => self.push(at, |_| LayerSpec::Softplus(Softplus::default())),
            8 | 9 if image => self.pool(at),
            10 if all => self.push(at, |name| LayerSpec::Scale(Scale { name, input: None })),
            11 if all && at.1.units() > 1 => {
                let units = 1 + self.draws.below(at.1.units());
                self.push(at, |name| {
                    LayerSpec::Select(Select {
                        name,
                        input: None,
                        units,
                    })
                })
            }
            11 if image => self.push(at, |_| LayerSpec::Flatten(Flatten::default())),
            _ => self.push(at, |_| LayerSpec::Relu(Relu::default())),
        }
    }

    fn linear(&mut self, at: At) -> At {
        let (out_features, bias) = (1 + self.draws.below(9), self.draws.below(3) > 0);
        self.push(at, |name| {
            LayerSpec::Linear(Linear {
                name,
                input: None,
                out_features,
                bias,
            })
        })
    }

    /// A convolution that fits.
    fn conv(&mut self, at: At) -> At {
        let draws = &mut *self.draws;
        let channels = at.1.units();
        let divisors: Vec<usize> = (1..=channels)
            .filter(|&groups| channels.is_multiple_of(groups))
            .collect();
        let mut conv = Conv2d::new("conv", 1, random_sides(draws, 4));
        conv.stride = random_sides(draws, 2);
        conv.groups = match draws.below(4) {
            0 => Groups::Depthwise,
            1 => Groups::Number(divisors[draws.below(divisors.len())]),
            _ => Groups::Number(1),
        };
        let groups = match conv.groups {
            Groups::Depthwise => channels,
            Groups::Number(groups) => groups,
        };
        conv.out_channels = groups * (1 + draws.below(if groups > 2 { 2 } else { 6 }));
        conv.bias = draws.below(3) > 0;
        conv.padding = match draws.below(3) {
            0 => Padding::Same,
            1 => Padding::Sides(Sides {
                rows: draws.below(3),
                columns: draws.below(3),
            }),
            _ => Padding::default(),
        };
        if LayerSpec::Conv2d(conv.clone())
            .kind()
            .output(&[at.1])
            .is_err()
        {
            conv.padding = Padding::Same;
        }
        self.push(at, |name| LayerSpec::Conv2d(Conv2d { name, ..conv }))
    }

    /// A pooling that fits, or a ReLU.
    fn pool(&mut self, at: At) -> At {
        let draws = &mut *self.draws;
        let kernel = match draws.below(3) {
            0 => Sides::square(2),
            _ => random_sides(draws, 3),
        };
        let stride = (draws.below(2) == 0).then(|| random_sides(draws, 3));
        let padding = Sides {
            rows: draws.below(1 + kernel.rows / 2),
            columns: draws.below(1 + kernel.columns / 2),
        };
        let padding = if draws.below(2) == 0 {
            padding
        } else {
            Sides::default()
        };
        let layer = if draws.below(2) == 0 {
            LayerSpec::MaxPool2d(MaxPool2d {
                name: None,
                input: None,
                kernel,
                stride,
                padding,
            })
        } else {
            let is_all = draws.below(3) == 0;
            LayerSpec::AvgPool2d(AvgPool2d {
                name: None,
                input: None,
                kernel: if is_all {
                    PoolWindow::All
                } else {
                    PoolWindow::Sides(kernel)
                },
                stride: stride.filter(|_| !is_all),
                padding: if is_all { Sides::default() } else { padding },
            })
        };
        if layer.kind().output(&[at.1]).is_err() {
            return self.push(at, |_| LayerSpec::Relu(Relu::default()));
        }
        self.push(at, |_| layer)
    }

    /// A branch of one to three layers and its sum with what it reads, or with a projection of it.
    fn residual(&mut self, at: &At, depth: usize) -> At {
        self.left -= 1;
        let strides = Sides {
            rows: 1 + self.draws.below(2),
            columns: 1 + self.draws.below(2),
        };
        let mut branch = at.clone();
        if self.draws.below(3) == 0 {
            branch = self.push(branch, |name| LayerSpec::BatchNorm(BatchNorm::new(&name)));
        }
        let projects = self.draws.below(2) == 0;
        let units = if projects {
            1 + self.draws.below(6)
        } else {
            at.1.units()
        };
        branch = match at.1 {
            Shape::Image { .. } => {
                let mut conv = Conv2d::new("conv", units, random_sides(self.draws, 3));
                conv.padding = Padding::Same;
                conv.bias = self.draws.below(2) == 0;
                if projects {
                    conv.stride = strides;
                } else if self.draws.below(2) == 0 {
                    conv.groups = Groups::Depthwise;
                }
                self.push(branch, |name| LayerSpec::Conv2d(Conv2d { name, ..conv }))
            }
            Shape::Features(_) => self.push(branch, |name| {
                LayerSpec::Linear(Linear {
                    name,
                    input: None,
                    out_features: units,
                    bias: true,
                })
            }),
        };
        if depth < 1 && self.left >= 4 && self.draws.below(3) == 0 {
            let inner = self.residual_of_same_shape(branch, depth + 1);
            branch = inner;
        }
        let mut shortcut = at.clone();
        if projects {
            shortcut = match at.1 {
                Shape::Image { .. } => {
                    let mut conv = Conv2d::new("conv", units, 1);
                    (conv.padding, conv.stride) = (Padding::Same, strides);
                    self.push(shortcut, |name| LayerSpec::Conv2d(Conv2d { name, ..conv }))
                }
                Shape::Features(_) => self.push(shortcut, |name| {
                    LayerSpec::Linear(Linear {
                        name,
                        input: None,
                        out_features: units,
                        bias: false,
                    })
                }),
            };
            if self.draws.below(3) == 0 {
                shortcut = self.push(shortcut, |name| LayerSpec::BatchNorm(BatchNorm::new(&name)));
            }
        }
        self.sum(&[branch, shortcut])
    }

    /// A residual block without a projection.
    fn residual_of_same_shape(&mut self, at: At, depth: usize) -> At {
        let mut inner = at.clone();
        inner = match at.1 {
            Shape::Image { channels, .. } => {
                let mut conv = Conv2d::new("conv", channels, random_sides(self.draws, 3));
                conv.padding = Padding::Same;
                self.push(inner, |name| LayerSpec::Conv2d(Conv2d { name, ..conv }))
            }
            Shape::Features(out_features) => self.push(inner, |name| {
                LayerSpec::Linear(Linear {
                    name,
                    input: None,
                    out_features,
                    bias: true,
                })
            }),
        };
        if depth < 2 && self.draws.below(2) == 0 {
            inner = self.push(inner, |_| LayerSpec::Softplus(Softplus::default()));
        }
        self.sum(&[at, inner])
    }

    fn sum(&mut self, inputs: &[At]) -> At {
        let name_of = |at: &At| at.0.clone().unwrap_or_else(|| "input".to_owned());
        let name = format!("l{}", self.layers.len() + 1);
        self.layers.push(LayerSpec::Add(Add {
            name: Some(name.clone()),
            inputs: inputs.iter().map(name_of).collect(),
        }));
        (Some(name), inputs[0].1)
    }
}

/// Sides of 1 to `most`, in half of the cases equal.
fn random_sides(draws: &mut Draws, most: usize) -> Sides {
    let rows = 1 + draws.below(most);
    match draws.below(2) {
        0 => Sides::square(rows),
        _ => Sides {
            rows,
            columns: 1 + draws.below(most),
        },
    }
}

/// Returns random tensors of a network: sparse weights with empty rows and unread inputs.
pub(crate) fn random_tensors(spec: &NetSpec, seed: u64) -> NamedTensors {
    let draws = &mut Draws(seed ^ 0x7E45);
    let graph = spec.resolve().unwrap();
    let mut all = NamedTensors::new();
    for (_, node) in graph.nodes() {
        let name = |what: &str| format!("{}.{what}", node.label);
        let mut reals = |len: usize, scale: f32, shift: f32| -> Vec<f32> {
            (0..len).map(|_| draws.real() * scale + shift).collect()
        };
        let units = node.shape.units();
        match node.slot {
            TensorSlot::Nothing => {}
            TensorSlot::Weight(weight) => {
                let weight = &graph.weights()[weight];
                if weight.has_bias {
                    let bias = reals(weight.rows(), 0.5, 0.0);
                    all.push((name("bias"), bias));
                }
                all.push((name("weight"), random_weight(&weight.shape, draws)));
            }
            TensorSlot::Index(_) => {
                let inputs = graph.node(node.inputs[0]).shape.units();
                let mut left: Vec<usize> = (0..inputs).collect();
                while left.len() > units {
                    left.remove(draws.below(left.len()));
                }
                let index = left.into_iter().map(|unit| unit as f32).collect();
                all.push((name("index"), index));
            }
            TensorSlot::Scale(_) => {
                all.push((name("weight"), reals(units, 1.0, 0.5)));
                all.push((name("bias"), reals(units, 0.5, 0.0)));
            }
            TensorSlot::Norm(_) => {
                all.push((name("running_mean"), reals(units, 0.5, 0.0)));
                all.push((name("running_var"), reals(units, 0.5, 0.75)));
                all.push((name("bias"), reals(units, 0.5, 0.0)));
                let weight = reals(units, 1.0, 0.25);
                let mut zeroed = |value: f32| if draws.below(8) == 0 { 0.0 } else { value };
                all.push((
                    name("weight"),
                    weight.into_iter().map(&mut zeroed).collect(),
                ));
            }
        }
    }
    let mut image = |name: &str, statistic: &Statistic, shift: f32| {
        if statistic.is_image() {
            let values = (0..spec.input_len()).map(|_| draws.real() * 0.4 + shift);
            all.push((format!("normalize.{name}"), values.collect()));
        }
    };
    image("mean", &spec.normalize.mean, 0.4);
    image("std", &spec.normalize.std, 0.6);
    all
}

/// Returns a weight with a random share of entries, rows and input units.
fn random_weight(shape: &[usize], draws: &mut Draws) -> Vec<f32> {
    let cols: usize = shape[1..].iter().product();
    let taps: usize = shape[2..].iter().product();
    // Of ten.
    let [entries, rows, inputs] = [[2, 7, 8], [5, 8, 7], [10, 7, 7], [10, 10, 10], [0, 10, 10]]
        [[0, 1, 1, 2, 2, 3, 3, 3, 4, 0][draws.below(10)]];
    let mut some = |len: usize, share: usize| -> Vec<bool> {
        (0..len).map(|_| draws.below(10) < share).collect()
    };
    let (live_rows, live_inputs) = (some(shape[0], rows), some(shape[1], inputs));
    let kept = some(shape[0] * cols, entries);
    let scale = (6.0 / (cols * entries.max(1)) as f32 * 5.0).sqrt().min(1.5);
    let value = |(place, kept): (usize, bool)| {
        let (row, input) = (place / cols, place % cols / taps);
        let value = draws.real() * scale;
        if kept && live_rows[row] && live_inputs[input] {
            value
        } else {
            0.0
        }
    };
    kept.into_iter().enumerate().map(value).collect()
}
