//! Normalisation by channel in training: both engines, and inputs that were normalised by hand.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::engine::{
    GRADIENT_TOLERANCE, assert_close, assert_same_gradients, at, indices, mixed, pair_on,
};
use support::{dataset, recipe};
use vbd_core::recipe::NetToml;
use vbd_core::step::{Batch, Step};
use vbd_core::weight::Parameters;
use vbd_net::data::{Dataset, Samples};
use vbd_net::spec::{NetSpec, Normalize};

const SHAPE: [usize; 3] = [3, 6, 5];
const SCALE: f32 = 1.0 / 255.0;
/// Of each channel: a mistaken order, or one value for all, changes the result by far more than rounding.
const MEAN: [f32; 3] = [0.1, 0.9, -0.5];
const STD: [f32; 3] = [0.2, 1.5, 0.6];

/// A padded convolution, a pool and a linear layer; or, flat, linear layers alone.
fn net(is_flat: bool) -> NetSpec {
    let first = if is_flat {
        "[[layer]]\nkind = 'flatten'\n[[layer]]\nkind = 'linear'\nname = 'first'\nout_features = 9\n"
    } else {
        "[[layer]]\nkind = 'conv2d'\nname = 'first'\nout_channels = 7\nkernel = 3\npadding = 1\n\
         [[layer]]\nkind = 'relu'\n[[layer]]\nkind = 'max_pool2d'\nkernel = 2\n\
         [[layer]]\nkind = 'flatten'\n"
    };
    let text = format!(
        "name = 'by-channel'\ninput = {SHAPE:?}\nclasses = 4\n\
         normalize = {{ scale = {SCALE}, mean = {MEAN:?}, std = {STD:?} }}\n{first}\
         [[layer]]\nkind = 'linear'\nname = 'out'\nout_features = 4\n"
    );
    NetSpec::from_toml(&text, "net").unwrap()
}

/// The set with inputs that were normalised by hand.
fn normalised(set: &Dataset) -> Dataset {
    let samples = |samples: &Samples| {
        let area = SHAPE[1] * SHAPE[2];
        let mut values = samples.inputs().to_f32();
        for (place, value) in values.iter_mut().enumerate() {
            let channel = place / area % 3;
            *value = (*value * SCALE - MEAN[channel]) / STD[channel];
        }
        let labels = samples.labels().unwrap().to_vec();
        Samples::new(values, labels, samples.sample_len()).unwrap()
    };
    let [train, test] = [&set.train, &set.test].map(samples);
    Dataset::new("by hand", set.shape, set.classes, train, test).unwrap()
}

#[test]
fn both_engines_train_and_evaluate_as_on_inputs_normalised_by_hand() {
    for (kind, is_flat) in [
        ("vbd", false),
        ("vbd", true),
        ("dense", false),
        ("dense", true),
    ] {
        let recipe = recipe(kind, "");
        let spec = net(is_flat);
        let plain = NetSpec {
            normalize: Normalize::default(),
            ..spec.clone()
        };
        let parameters = mixed(&spec, &recipe);
        let set = dataset(SHAPE, 4, 60, 17);
        let by_hand = normalised(&set);
        let mut ours = pair_on(set, &spec, &recipe, &parameters, 2);
        let mut theirs = pair_on(by_hand, &plain, &recipe, &parameters, 2);
        let batch = Batch::of(&ours.data.train, &indices(0));
        let batch_by_hand = Batch::of(&theirs.data.train, &indices(0));
        let nll = [
            ours.cpu.step(&batch, &at(0, 0.3)).unwrap(),
            ours.candle.step(&batch, &at(0, 0.3)).unwrap(),
            theirs.cpu.step(&batch_by_hand, &at(0, 0.3)).unwrap(),
            theirs.candle.step(&batch_by_hand, &at(0, 0.3)).unwrap(),
        ];
        for other in nll {
            assert!(
                (nll[0] - other).abs() < 1e-5 * nll[0],
                "{kind} {is_flat}: {nll:?}"
            );
        }
        let [cpu, candle, by_hand] = [
            ours.cpu.parameters().unwrap(),
            ours.candle.parameters().unwrap(),
            theirs.cpu.parameters().unwrap(),
        ];
        assert_same_gradients(&cpu, &candle);
        assert_same_gradients(&cpu, &by_hand);
        let first = |parameters: &Parameters| parameters.layers[0].bias.value.clone();
        assert_close(&first(&cpu), &first(&by_hand), GRADIENT_TOLERANCE, "bias");
        let evaluations = [
            ours.cpu.evaluate(&ours.data.test).unwrap(),
            ours.candle.evaluate(&ours.data.test).unwrap(),
            theirs.cpu.evaluate(&theirs.data.test).unwrap(),
        ];
        for evaluation in &evaluations {
            assert_eq!(evaluation.wrong(), evaluations[0].wrong());
            let [nll, other] = [evaluations[0].nll(), evaluation.nll()].map(Option::unwrap);
            assert!(
                (nll - other).abs() < 1e-5 * nll,
                "{kind} {is_flat}: {nll} {other}"
            );
        }
    }
}
