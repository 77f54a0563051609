//! Random networks of every kind of layer: the runtime, the folded and the shrunk net, and the file
//! agree with the simplest way to compute them.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

#[path = "common/draws.rs"]
mod draws;
#[path = "common/nets.rs"]
mod nets;
#[path = "common/reference.rs"]
mod reference;

use std::path::Path;

use draws::Draws;
use nets::{Kinds, random_spec, random_tensors};
use reference::Reference;
use vbd_net::data::Values;
use vbd_net::runtime::arches;
use vbd_net::spec::NetSpec;
use vbd_net::{Layout, Plan, PrunedFile, PrunedNet, ValueType};

/// Number of networks.
const NETS: u64 = 200;
/// Number of samples: a batch of several vectors.
const SAMPLES: usize = 64;
/// Largest difference, as a share of the largest output.
const TOLERANCE: f32 = 1e-5;

struct Case {
    net: PrunedNet,
    pixels: Vec<u8>,
    /// Outputs of all samples.
    expected: Vec<f32>,
}

impl Case {
    /// A net with the outputs of its runtime.
    fn new(seed: u64) -> Self {
        let spec = spec_of(seed);
        let tensors = random_tensors(&spec, seed);
        let draws = &mut Draws(seed ^ 0x91);
        let byte = |_| u8::try_from(draws.below(256)).unwrap();
        let pixels: Vec<u8> = (0..SAMPLES * spec.input_len()).map(byte).collect();
        let net = PrunedNet::from_parts(spec, tensors).unwrap();
        Self {
            expected: run(&net, &pixels),
            net,
            pixels,
        }
    }

    /// A net with the outputs of the simplest computation.
    fn with_reference(seed: u64) -> Self {
        let spec = spec_of(seed);
        let tensors = random_tensors(&spec, seed);
        let case = Self::new(seed);
        let reference = Reference::new(&spec, &tensors);
        let inputs = case.net.normalize(Values::U8(&case.pixels));
        let samples = inputs.chunks_exact(spec.input_len());
        Self {
            expected: samples
                .flat_map(|sample| reference.outputs(sample))
                .collect(),
            ..case
        }
    }

    fn assert_close(&self, found: &[f32], what: &str) {
        let largest = self
            .expected
            .iter()
            .fold(1.0_f32, |most, x| most.max(x.abs()));
        assert_eq!(found.len(), self.expected.len());
        for (place, (found, expected)) in found.iter().zip(&self.expected).enumerate() {
            assert!(
                (found - expected).abs() <= TOLERANCE * largest,
                "{what}: output {place} is {found}: expected {expected} of up to {largest}\n{:#?}",
                self.net.spec().layers
            );
        }
    }
}

fn spec_of(seed: u64) -> NetSpec {
    let kinds = match seed % 2 {
        0 => Kinds::Trained,
        _ => Kinds::All,
    };
    random_spec(seed, kinds)
}

fn run(net: &PrunedNet, pixels: &[u8]) -> Vec<f32> {
    Plan::new(net)
        .unwrap()
        .session()
        .run(pixels)
        .unwrap()
        .to_vec()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn one_sample_and_many_give_the_references_outputs_with_the_same_bits() {
    for seed in 0..NETS {
        let case = Case::with_reference(seed);
        let len = case.net.spec().input_len();
        for arch in arches() {
            let plan = Plan::for_arch(&case.net, arch).unwrap();
            let mut session = plan.session();
            let many = session.run(&case.pixels).unwrap().to_vec();
            case.assert_close(&many, &format!("net {seed} on {arch:?}"));
            let each: Vec<f32> = case
                .pixels
                .chunks_exact(len)
                .flat_map(|pixels| session.run(pixels).unwrap().to_vec())
                .collect();
            let few = session.run(&case.pixels[..5 * len]).unwrap().to_vec();
            assert_eq!(bits(&many), bits(&each), "net {seed} on {arch:?}");
            assert_eq!(
                bits(&many[..few.len()]),
                bits(&few),
                "net {seed} on {arch:?}"
            );
        }
    }
}

#[test]
fn shrunk_nets_give_the_same_outputs_and_do_not_shrink_again() {
    for seed in 0..NETS {
        let case = Case::new(seed);
        let small = case.net.shrunk().unwrap();
        let outputs = run(&small, &case.pixels);
        case.assert_close(&outputs, &format!("shrunk net {seed}"));
        // Where nothing is left of a layer, its selection may keep another input that nothing reads.
        let again = small.shrunk().unwrap();
        assert_eq!(again.spec(), small.spec(), "net {seed}");
        assert_eq!(again.layers(), small.layers(), "net {seed}");
        assert_eq!(again.scales(), small.scales(), "net {seed}");
        assert_eq!(
            bits(&run(&again, &case.pixels)),
            bits(&outputs),
            "net {seed}"
        );
    }
}

#[test]
fn files_in_every_layout_give_the_same_net() {
    let own = [Layout::Dense, Layout::Csr, Layout::Bitmask, Layout::Delta];
    let layouts: Vec<Option<Layout>> = own.into_iter().map(Some).chain([None]).collect();
    for seed in 0..NETS {
        let case = Case::new(seed);
        let small = case.net.shrunk().unwrap();
        // The original of a shrunk net in a file has no selections.
        let is_original = case.net.selections().is_empty();
        for net in [Some(&case.net), Some(&small).filter(|_| is_original)] {
            let Some(net) = net else { continue };
            for &layout in &layouts {
                let file = PrunedFile::new(net, layout, ValueType::F32).unwrap();
                let bytes = file.to_bytes().unwrap();
                assert_eq!(bytes.len() as u64, file.bytes(), "net {seed}");
                let read = PrunedFile::from_bytes(&bytes, Path::new("file")).unwrap();
                assert_eq!(read, file, "net {seed}");
                assert_eq!(read.to_bytes().unwrap(), bytes, "net {seed}");
            }
            let file = PrunedFile::new(net, None, ValueType::F32).unwrap();
            let outputs = run(file.net(), &case.pixels);
            case.assert_close(&outputs, &format!("file of net {seed}"));
        }
    }
}

/// A generator of nets in which nothing happens would make the other tests pass.
#[test]
fn many_nets_vary_and_have_norms_groups_and_dead_channels() {
    let mut counts = [0; 6];
    for seed in 0..NETS {
        let case = Case::new(seed);
        let small = case.net.shrunk().unwrap();
        let first = &case.expected[..case.net.spec().output_len()];
        let varies = case
            .expected
            .chunks(first.len())
            .any(|other| other != first);
        let groups = |net: &PrunedNet| net.graph().weights().iter().any(|own| own.groups > 1);
        let rows =
            |net: &PrunedNet| -> usize { net.layers().iter().map(|layer| layer.bias.len()).sum() };
        let facts = [
            varies,
            !case.net.provenance().folded.is_empty(),
            !case.net.scales().is_empty(),
            varies && groups(&small),
            varies && rows(&small) < rows(&case.net),
            small.graph().weights().iter().any(|own| !own.has_bias),
        ];
        for (count, fact) in counts.iter_mut().zip(facts) {
            *count += usize::from(fact);
        }
    }
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
    assert!(counts[0] > 100, "{counts:?}");
}
