//! Plans and sessions against the dense net with Candle's operations, over random nets.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::format_push_string,
    clippy::cast_possible_truncation,
    reason = "what tests draw is small"
)]

use candle_core::{Device, Module, Tensor};
use vbd_core::recipe::NetToml;
use vbd_net::runtime::{Kernel, Threads, arches};
use vbd_net::spec::NetSpec;
use vbd_net::{Error, Plan, PrunedNet, Session};
use vbd_prune::{DenseNet, prune_checkpoint};

mod common;

use common::{Draws, checkpoint_of, random_samples, random_spec};

/// Tolerance for sums of a few hundred products in another order.
const TOLERANCE: f32 = 1e-4;

/// Nets whose steps come in unusual orders.
const ODD: [&str; 18] = [
    // rows of 64 columns, the maximum for detecting margins, and a kernel of that size
    "input = [1, 64, 64]|conv2d name='a' out_channels=2 kernel=62|relu|max_pool2d kernel=2|flatten|linear name='out' out_features=4",
    // rows of 65 columns, a kernel of 65, padding wider than the image
    "input = [1, 3, 5]|conv2d name='a' out_channels=3 kernel=65 padding=31|flatten|linear name='out' out_features=4",
    // a stride beyond all images
    "input = [1, 5, 5]|conv2d name='a' out_channels=3 kernel=5 stride=4611686018427387904|flatten|linear name='out' out_features=4",
    // pooling first, over what does not divide
    "input = [2, 9, 10]|max_pool2d kernel=3|conv2d name='c' out_channels=5 kernel=2 padding=1|flatten|linear name='out' out_features=4",
    // a ReLU first, and two of them
    "input = [2, 6, 6]|relu|relu|flatten|linear name='a' out_features=7|relu|linear name='out' out_features=4",
    // pooling twice, and a ReLU between
    "input = [1, 16, 16]|conv2d name='c' out_channels=6 kernel=3 padding=1|max_pool2d kernel=2|relu|max_pool2d kernel=2|flatten|linear name='out' out_features=4",
    // a ReLU before a fused pool, strides, a second padded convolution
    "input = [3, 13, 11]|conv2d name='c' out_channels=9 kernel=3 stride=2 padding=2|relu|max_pool2d kernel=2|conv2d name='d' out_channels=8 kernel=3 padding=2|relu|flatten|linear name='e' out_features=20|relu|linear name='out' out_features=4",
    // LeNet-5's shape, smaller
    "input = [1, 20, 20]|conv2d name='c' out_channels=8 kernel=5|relu|max_pool2d kernel=2|conv2d name='d' out_channels=10 kernel=5|relu|max_pool2d kernel=2|flatten|linear name='e' out_features=40|relu|linear name='out' out_features=4",
    // pooling of 3 followed by a stride of 3
    "input = [1, 26, 26]|conv2d name='c' out_channels=4 kernel=3|max_pool2d kernel=3|conv2d name='d' out_channels=6 kernel=2 stride=3|max_pool2d kernel=2|flatten|relu|linear name='out' out_features=4",
    // a vector as input, a wide layer
    "input = [37]|linear name='a' out_features=300|relu|linear name='b' out_features=150|relu|linear name='out' out_features=4",
    // logits out of a convolution
    "input = [2, 4, 4]|conv2d name='a' out_channels=3 kernel=3|relu|conv2d name='b' out_channels=1 kernel=1|flatten",
    // branches of linear layers, and a ReLU of a sum that another sum reads directly
    "input = [1, 5, 5]|linear name='a' out_features=20|relu name='r'|linear name='b' out_features=30|relu|linear name='c' out_features=20|add name='s' inputs=['c','r']|relu name='t'|linear name='d' out_features=20|add inputs=['d','s','t']|relu|linear name='out' out_features=4",
    // the input itself in a sum, twice
    "input = [9]|linear name='a' out_features=9|add name='s' inputs=['input','a','input']|relu|linear name='out' out_features=4",
    // branches of convolutions, one a shortcut of one tap, and two paddings of one value
    "input = [2, 9, 8]|conv2d name='a' out_channels=6 kernel=3 padding=1|relu name='r'|conv2d name='b' out_channels=6 kernel=3 padding=1|relu|conv2d name='c' out_channels=6 kernel=5 padding=2|add name='s' inputs=['c','r']|relu name='t'|conv2d name='d' out_channels=8 kernel=3 padding=1|conv2d name='e' input='t' out_channels=8 kernel=1|add inputs=['d','e']|max_pool2d kernel=2|flatten|linear name='out' out_features=4",
    // a sum of the input's channels and of a convolution's, pooled before and after
    "input = [3, 8, 8]|conv2d name='a' out_channels=3 kernel=3 padding=1|add name='s' inputs=['a','input']|max_pool2d kernel=2 name='p'|relu name='q'|max_pool2d kernel=2 input='s' name='u'|add inputs=['u','q','p']|flatten|linear name='out' out_features=4",
    // sums of a flattened image and a vector, that ends in a sum
    "input = [1, 6, 6]|conv2d name='a' out_channels=2 kernel=3|relu|flatten name='f'|linear name='b' out_features=32|add name='s' inputs=['f','b']|relu name='r'|linear name='c' out_features=4|linear name='d' input='f' out_features=4|add inputs=['c','d','d']",
    // two linear layers over the raw input, one after a flattening
    "input = [1, 6, 6]|linear name='a' out_features=12|relu name='r'|flatten name='f' input='input'|linear name='b' out_features=12|add inputs=['r','b']|linear name='out' out_features=4",
    // a kernel as large as its padded input
    "input = [1, 5, 3]|conv2d name='a' out_channels=6 kernel=5 padding=1 stride=7|flatten|linear name='out' out_features=4",
];

fn odd_spec(text: &str) -> NetSpec {
    let mut lines = text.split('|');
    let mut toml = format!("name = 'odd'\nclasses = 4\n{}\n", lines.next().unwrap());
    toml += "normalize = { scale = 0.01, mean = 0.3, std = 'image' }\n";
    for line in lines {
        toml += &format!("[[layer]]\nkind = '{}'\n", line.split(' ').next().unwrap());
        for field in line.split(' ').skip(1) {
            toml += &format!("{field}\n");
        }
    }
    NetSpec::from_toml(&toml, "odd").unwrap()
}

/// Random nets of random sparsity, usual and odd.
fn nets() -> impl Iterator<Item = PrunedNet> {
    let usual = (0..40).map(|seed| (random_spec(seed), seed));
    let odd =
        (0..9 * ODD.len() as u64).map(|seed| (odd_spec(ODD[seed as usize % ODD.len()]), seed));
    usual
        .chain(odd)
        .map(|(spec, seed)| prune_checkpoint(&checkpoint_of(spec, seed), None).unwrap())
}

fn pixels_of(net: &PrunedNet, n: usize, seed: u64) -> Vec<u8> {
    let mut pixels = random_samples(net.spec(), n, seed)
        .inputs()
        .bytes()
        .unwrap()
        .to_vec();
    // as images are: most pixels are 0
    let draws = &mut Draws(seed);
    for pixel in &mut pixels {
        *pixel *= u8::from(draws.below(3) == 0);
    }
    pixels
}

fn dense_logits(net: &PrunedNet, pixels: &[u8], n: usize) -> Vec<f32> {
    let x = Tensor::from_slice(pixels, (n, net.spec().input_len()), &Device::Cpu).unwrap();
    let logits = DenseNet::new(net, &Device::Cpu)
        .unwrap()
        .forward(&x)
        .unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn plans_and_sessions_may_go_to_other_threads() {
    fn plan<T: Send + Sync + Clone>() {}
    fn session<T: Send>() {}
    plan::<Plan>();
    session::<Session>();
}

#[test]
fn every_instruction_set_agrees_with_the_dense_net() {
    for (case, net) in nets().enumerate() {
        let n = 70;
        let pixels = pixels_of(&net, n, case as u64);
        let dense = dense_logits(&net, &pixels, n);
        let scale = dense.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
        for arch in arches() {
            let plan = Plan::for_arch(&net, arch).unwrap();
            let mut session = plan.session();
            for (sparse, dense) in session.run(&pixels).unwrap().iter().zip(&dense) {
                let same = (sparse - dense).abs() < TOLERANCE * scale;
                assert!(
                    same,
                    "case {case}, {arch:?}: {sparse} {dense}\n{:?}",
                    net.spec()
                );
            }
        }
    }
}

#[test]
fn a_shrunk_net_has_the_logits_of_the_original() {
    for (case, net) in nets().enumerate() {
        let small = net.shrunk().unwrap();
        let pixels = pixels_of(&net, 9, case as u64);
        let dense = dense_logits(&net, &pixels, 9);
        let scale = dense.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
        let mut session = Plan::new(&small).unwrap().session();
        for (found, dense) in session.run(&pixels).unwrap().iter().zip(&dense) {
            let same = (found - dense).abs() < TOLERANCE * scale;
            assert!(same, "case {case}: {found} {dense}\n{:?}", small.spec());
        }
        assert_eq!(small.shrunk().unwrap(), small, "case {case}");
        let weights = |net: &PrunedNet| {
            let layers = net.layers().iter();
            layers.map(|layer| layer.weight.numel()).sum::<usize>()
        };
        assert!(weights(&small) <= weights(&net));
    }
}

#[test]
fn a_sample_has_the_same_bits_in_every_batch_and_type() {
    for (case, net) in nets().enumerate() {
        let (len, classes) = (net.spec().input_len(), net.spec().output_len());
        let pixels = pixels_of(&net, 70, case as u64);
        let floats: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
        for arch in arches() {
            let mut session = Plan::for_arch(&net, arch).unwrap().session();
            let all = session.run(&pixels).unwrap().to_vec();
            assert_eq!(session.run(&floats).unwrap(), all);
            for n in [1, 2, 4, 5, 16, 17, 33] {
                assert_eq!(
                    session.run(&pixels[..n * len]).unwrap(),
                    &all[..n * classes],
                    "{case} {n} {arch:?} {:?}",
                    net.spec()
                );
                assert_eq!(
                    session.run(&floats[..n * len]).unwrap(),
                    &all[..n * classes]
                );
            }
        }
    }
}

#[test]
fn large_batches_have_the_same_bits_on_any_number_of_threads() {
    let text = ODD[7];
    let net = prune_checkpoint(&checkpoint_of(odd_spec(text), 5), None).unwrap();
    let pixels = pixels_of(&net, 700, 1);
    let plan = Plan::new(&net).unwrap();
    let run = |threads| {
        let mut session = plan.session_on(&Threads::new(threads));
        session.run(&pixels).unwrap().to_vec()
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn input_that_is_no_whole_sample_is_refused() {
    let net = nets().next().unwrap();
    let mut session = Plan::new(&net).unwrap().session();
    let len = net.spec().input_len();
    let error = session.run(&vec![0_u8; len + 1]).unwrap_err();
    assert!(matches!(error, Error::Input { found, samples: 2, .. } if found == len + 1));
    assert!(session.run::<u8>(&[]).unwrap().is_empty());
}

/// A net of linear layers with the given weights, `[out, in]` each.
fn linear_net(input: usize, layers: &[(&[f32], &[f32])]) -> PrunedNet {
    let mut toml = format!(
        "name = 'linear'\ninput = [{input}]\nclasses = {}\n",
        layers.last().unwrap().1.len()
    );
    for (index, (_, bias)) in layers.iter().enumerate() {
        if index > 0 {
            toml += "[[layer]]\nkind = 'relu'\n";
        }
        toml += &format!(
            "[[layer]]\nkind = 'linear'\nname = 'fc{index}'\nout_features = {}\n",
            bias.len()
        );
    }
    let mut checkpoint = checkpoint_of(NetSpec::from_toml(&toml, "linear").unwrap(), 3);
    for (parameters, (weight, bias)) in checkpoint.parameters.layers.iter_mut().zip(layers) {
        let shape = [bias.len(), weight.len() / bias.len()];
        let theta = vbd_core::weight::Parameter::new(weight.to_vec());
        parameters.weight = common::certain_weight(&checkpoint.recipe, &shape, theta);
        parameters.bias = vbd_core::weight::Parameter::new(bias.to_vec());
    }
    prune_checkpoint(&checkpoint, None).unwrap()
}

#[test]
fn a_selection_may_follow_the_last_weight() {
    let json = r#"{"name":"n","input":[3],"classes":2,"layer":[
        {"kind":"linear","name":"a","out_features":4},{"kind":"select","name":"s","units":2},{"kind":"relu"}]}"#;
    let weight = (0..12_u8).map(|place| f32::from(place) - 5.0).collect();
    let tensors = [
        ("a.weight", weight),
        ("a.bias", vec![0.5, 1.0, 1.5, 2.0]),
        ("s.index", vec![1.0, 3.0]),
    ];
    let net = PrunedNet::from_parts(NetSpec::from_json(json).unwrap(), tensors).unwrap();
    // rows 1 and 3: [-2, -1, 0] and [4, 5, 6]
    let expected = [0.0, 4.0 + 10.0 + 18.0 + 2.0];
    for net in [net.shrunk().unwrap(), net] {
        let mut session = Plan::new(&net).unwrap().session();
        assert_eq!(session.run(&[1_u8, 2, 3]).unwrap(), expected);
    }
}

#[test]
fn dead_units_fold_and_disappear() {
    // Unit 0 varies and is read; unit 1 is the constant relu(2) = 2; unit 2 is relu(-1) = 0; nobody
    // reads unit 3, nor then input 2.
    let first = [1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 1.];
    let second = [10., 100., 1000., 0., 0., 1., 1., 0.];
    let net = linear_net(3, &[(&first, &[0.5, 2., -1., 0.]), (&second, &[0.25, 0.])]);
    let plan = Plan::new(&net).unwrap();
    assert_eq!((plan.live_inputs(), plan.multiply_adds()), (1, 2));
    assert_eq!(plan.layers()[0].multiply_adds, 1);
    let mut session = plan.session();
    assert_eq!(
        session.run(&[3.0_f32, 5.0, 7.0]).unwrap(),
        [10.0 * 3.5 + 200.25, 2.0]
    );

    // The second layer reads nothing that varies: nothing is computed at all.
    let net = linear_net(
        3,
        &[(&first, &[0.5, 2., -1., 0.]), (&[0., 1., 0., 0.], &[1.])],
    );
    let plan = Plan::new(&net).unwrap();
    assert_eq!((plan.live_inputs(), plan.multiply_adds()), (0, 0));
    assert!(
        plan.layers()
            .iter()
            .all(|layer| layer.kernel == Kernel::None)
    );
    for n in [1, 9] {
        assert_eq!(
            plan.session().run(&vec![1.0_f32; 3 * n]).unwrap(),
            vec![3.0; n]
        );
    }
}

#[test]
fn activations_that_are_too_large_are_refused() {
    let text = "input = [1, 4000, 4000]|conv2d name='a' out_channels=1 kernel=1|max_pool2d kernel=2000|flatten";
    let spec = odd_spec(text);
    let mut checkpoint = checkpoint_of(spec, 3);
    checkpoint.parameters.layers[0].weight = common::certain_weight(
        &checkpoint.recipe,
        &[1, 1, 1, 1],
        vbd_core::weight::Parameter::new(vec![1.0]),
    );
    let net = prune_checkpoint(&checkpoint, None).unwrap();
    let error = Plan::new(&net).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                most: 16_777_216,
                ..
            }
        ),
        "{error}"
    );
}
