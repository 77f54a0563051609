//! Scratch: runs a random net of a spec file. `probe SPEC density mode reps`.
use std::hash::{DefaultHasher, Hash, Hasher};
use vbd_net::spec::NetSpec;
use vbd_net::{Plan, PrunedNet};

struct Draws(u64);
impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn real(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let spec = NetSpec::from_json(&std::fs::read_to_string(&args[1]).unwrap()).unwrap();
    let density: f32 = args[2].parse().unwrap();
    let (batch, reps): (usize, usize) = (args[3].parse().unwrap(), args[4].parse().unwrap());
    let draws = &mut Draws(7);
    let mut tensors = Vec::new();
    let mut products = 0;
    for weight in spec.weights().unwrap() {
        let scale = (3.0 / (weight.cols() as f32 * density).max(1.0)).sqrt();
        let values: Vec<f32> = (0..weight.numel())
            .map(|_| {
                let (keep, value) = (draws.real(), draws.real());
                if keep.abs() < density {
                    value * scale
                } else {
                    0.0
                }
            })
            .collect();
        products += values.iter().filter(|v| **v != 0.0).count() * weight.positions;
        tensors.push((format!("{}.weight", weight.layer), values));
        if weight.has_bias {
            tensors.push((
                format!("{}.bias", weight.layer),
                (0..weight.rows()).map(|_| draws.real() * 0.1).collect(),
            ));
        }
    }
    let net = PrunedNet::from_parts(spec, tensors).unwrap();
    let plan = Plan::new(&net).unwrap();
    let mut session = plan.session_on(&vbd_net::runtime::Threads::new(1));
    let pixels: Vec<u8> = (0..net.spec().input_len() * batch)
        .map(|_| (draws.next() & 255) as u8)
        .collect();
    let mut hasher = DefaultHasher::new();
    let start = std::time::Instant::now();
    for _ in 0..reps {
        for value in session.run(&pixels).unwrap() {
            value.to_bits().hash(&mut hasher);
        }
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / (reps * batch) as f64;
    println!(
        "{us:.2} us/sample, {:.2} GMAC/s, hash {:x}",
        products as f64 / us / 1e3,
        hasher.finish()
    );
}
