//! The Candle engine on networks with convolutions and pooling.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::Device;
use support::engine::kill;
use support::{dataset, lenet5_like, mlp, recipe};
use vbd_core::Error;
use vbd_core::recipe::NetToml;
use vbd_core::step::{At, Batch, CandleStep, Objective, Step};
use vbd_core::weight::{Parameters, Weight};
use vbd_net::data::Dataset;
use vbd_net::spec::{NetSpec, Normalizer};

fn engine(spec: &NetSpec, kind: &str, data: &Dataset) -> (CandleStep, Parameters) {
    let recipe = recipe(kind, "");
    let parameters = Parameters::init(spec, &recipe).unwrap();
    let objective = Objective::new(spec, &recipe, data.train.len()).unwrap();
    let normalizer = Normalizer::measure(spec, &data.train);
    let engine = CandleStep::new(spec, objective, &normalizer, &parameters, &Device::Cpu).unwrap();
    (engine, parameters)
}

fn small_data() -> Dataset {
    dataset([1, 10, 9], 4, 60, 40)
}

fn run(engine: &mut CandleStep, data: &Dataset, steps: std::ops::Range<u32>, kl_scale: f64) {
    for step in steps {
        let indices: Vec<u32> = (0..20).map(|i| (i * 7 + step * 13) % 60).collect();
        let at = At {
            seed: 11,
            step,
            lr: 5e-3,
            kl_scale,
        };
        engine.step(&Batch::of(&data.train, &indices), &at).unwrap();
    }
}

#[test]
fn a_convolutional_network_learns_and_prunes() {
    let data = small_data();
    for kind in ["vbd", "vd", "dense"] {
        let (mut engine, _) = engine(&lenet5_like(4), kind, &data);
        let before = engine.evaluate(&data.test).unwrap();
        run(&mut engine, &data, 0..40, 0.0);
        run(&mut engine, &data, 40..120, 1.0);
        kill(&mut engine, &lenet5_like(4), &recipe(kind, ""));
        let after = engine.evaluate(&data.test).unwrap();
        let errors = [before, after].map(|evaluation| evaluation.test_error().unwrap());
        assert!(
            errors[0] > 0.4 && errors[1] < 0.1,
            "{kind} {before:?} {after:?}"
        );
        let parameters = engine.parameters().unwrap();
        assert_eq!(parameters.not_finite(), None);
        let convolution = &parameters.layers[1].weight;
        assert_eq!(convolution.shape(), [4, 3, 2, 2]);
        let theta = &convolution.theta().value;
        let dead = theta.iter().filter(|&&theta| theta == 0.0).count();
        assert_eq!(dead > 0, kind != "dense", "{kind}: {dead}");
    }
}

#[test]
fn an_engine_continues_with_the_parameters_of_the_other() {
    let data = small_data();
    let (mut first, initial) = engine(&lenet5_like(4), "vbd", &data);
    assert_eq!(first.parameters().unwrap(), initial);
    run(&mut first, &data, 0..5, 0.5);
    kill(&mut first, &lenet5_like(4), &recipe("vbd", ""));
    let (mut second, _) = engine(&lenet5_like(4), "vbd", &data);
    // the compact form as a checkpoint has it
    let mut halfway = first.parameters().unwrap();
    for layer in &mut halfway.layers {
        layer.weight = layer.weight.to_compact();
    }
    second.load(&halfway).unwrap();
    for engine in [&mut first, &mut second] {
        run(engine, &data, 5..8, 0.5);
    }
    assert_eq!(first.parameters().unwrap(), second.parameters().unwrap());
    assert_eq!(
        first.evaluate(&data.test).unwrap(),
        second.evaluate(&data.test).unwrap()
    );
}

#[test]
fn parameters_of_another_network_are_refused() {
    let data = small_data();
    let (mut engine, initial) = engine(&lenet5_like(4), "vbd", &data);
    let mut fewer = initial.clone();
    fewer.layers.pop();
    let mut turned = initial.clone();
    let weight = &initial.layers[1].weight;
    turned.layers[1].weight =
        Weight::dense(&[3, 4, 2, 2], weight.theta().clone(), Vec::new()).unwrap();
    let mut renamed = initial.clone();
    renamed.layers[0].name = "conv0".to_owned();
    for parameters in [fewer, turned, renamed] {
        assert!(matches!(engine.load(&parameters), Err(Error::Shape { .. })));
    }
    assert_eq!(engine.parameters().unwrap(), initial);
}

#[test]
fn relu_pooling_and_flattening_may_be_anywhere() {
    let data = small_data();
    let head = "name = 'odd'\ninput = [1, 10, 9]\nclasses = 4\n";
    let layer = |kind: &str| match kind {
        "pool" => "[[layer]]\nkind = 'max_pool2d'\nkernel = 3\n".to_owned(),
        "conv" => {
            "[[layer]]\nkind = 'conv2d'\nname = 'c'\nout_channels = 2\nkernel = 2\n".to_owned()
        }
        "fc" => "[[layer]]\nkind = 'linear'\nname = 'f'\nout_features = 4\n".to_owned(),
        kind => format!("[[layer]]\nkind = '{kind}'\n"),
    };
    for layers in [
        &[
            "relu", "flatten", "flatten", "relu", "fc", "flatten", "relu",
        ][..],
        &["pool", "fc"],
        &["relu", "pool", "conv", "fc", "relu"],
        &["conv", "conv2", "flatten", "fc"],
    ] {
        let bodies = layers.iter().map(|kind| match *kind {
            "conv2" => layer("conv")
                .replace("'c'", "'c2'")
                .replace("kernel = 2", "kernel = 3\nstride = 3"),
            kind => layer(kind),
        });
        let text = format!("{head}{}", bodies.collect::<String>());
        let spec = NetSpec::from_toml(&text, "odd").unwrap();
        let (mut engine, _) = engine(&spec, "vbd", &data);
        run(&mut engine, &data, 0..2, 1.0);
        assert!(
            engine
                .evaluate(&data.test)
                .unwrap()
                .nll()
                .unwrap()
                .is_finite(),
            "{layers:?}"
        );
    }
}

#[test]
fn an_image_that_goes_into_a_linear_layer_is_flattened() {
    let data = small_data();
    let spec = mlp(&[1, 10, 9], &[8, 4]);
    let (mut without, _) = engine(&spec, "vbd", &data);
    let mut text = spec.to_toml().unwrap();
    text = text.replacen("[[layer]]", "[[layer]]\nkind = \"flatten\"\n\n[[layer]]", 1);
    let (mut with, _) = engine(&NetSpec::from_toml(&text, "flat").unwrap(), "vbd", &data);
    for engine in [&mut without, &mut with] {
        run(engine, &data, 0..3, 1.0);
    }
    assert_eq!(without.parameters().unwrap(), with.parameters().unwrap());
}
