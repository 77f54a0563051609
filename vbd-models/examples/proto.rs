//! proto
#![allow(clippy::all)]
fn main() {
    let t = std::time::Instant::now();
    let d = vbd_models::data::digits(0, 60000, 10000).unwrap();
    eprintln!("made in {:?}", t.elapsed());
    std::fs::write("/tmp/dig_train.img", d.train.images()).unwrap();
    std::fs::write("/tmp/dig_train.lab", d.train.labels()).unwrap();
    std::fs::write("/tmp/dig_test.img", d.test.images()).unwrap();
    std::fs::write("/tmp/dig_test.lab", d.test.labels()).unwrap();
}
