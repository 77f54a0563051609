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
    fn new(seed: u64) -> Self {
        let kinds = match seed % 2 {
            0 => Kinds::Trained,
            _ => Kinds::All,
        };
        let spec = random_spec(seed, kinds);
        let tensors = random_tensors(&spec, seed);
        let draws = &mut Draws(seed ^ 0x91);
        let byte = |_| u8::try_from(draws.below(256)).unwrap();
        let pixels: Vec<u8> = (0..SAMPLES * spec.input_len()).map(byte).collect();
        let net = PrunedNet::from_parts(spec.clone(), tensors.clone()).unwrap();
        let reference = Reference::new(&spec, &tensors);
        let inputs = net.normalize(Values::U8(&pixels));
        let samples = inputs.chunks_exact(spec.input_len());
        let expected = samples.flat_map(|sample| reference.outputs(sample));
        Self {
            expected: expected.collect(),
            net,
            pixels,
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
        let case = Case::new(seed);
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
        case.assert_close(&run(&small, &case.pixels), &format!("shrunk net {seed}"));
        let again = small.shrunk().unwrap();
        assert_eq!(again, small, "net {seed}");
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
