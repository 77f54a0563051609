//! Mutated files are refused or read as Pillow reads them. `scripts/pictures_property` makes the
//! cases and reads the report.

use std::path::PathBuf;

use serde::Serialize;

use super::{Channels, Colour, Encoded};

/// Environment variable with the path of the cases.
const CASES: &str = "VBD_PILLOW_CASES";
/// Most examples in a report.
const EXAMPLES: usize = 20;

/// What happened to the cases.
#[derive(Debug, Default, Serialize)]
struct Report {
    cases: usize,
    /// Files that were not mutated.
    whole: usize,
    refused: usize,
    same: usize,
    /// Read, where Pillow's result says nothing.
    incomparable: usize,
    differ: Vec<Example>,
    taken_though_pillow_refuses: Vec<Example>,
    /// Files that were not mutated, and were refused though Pillow reads them.
    whole_refused: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Example {
    case: usize,
    difference: u8,
}

/// What Pillow made of a file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refused,
    Read,
    Unknown,
}

/// A file and Pillow's result.
#[derive(Debug)]
struct Case<'a> {
    file: &'a [u8],
    is_whole: bool,
    verdict: Verdict,
    tolerance: u8,
    ground: Colour,
    width: usize,
    height: usize,
    rgb: &'a [u8],
    grey: &'a [u8],
}

impl<'a> Case<'a> {
    fn split(rest: &mut &'a [u8]) -> Self {
        let mut take = |len: usize| {
            let (taken, after) = rest.split_at(len);
            *rest = after;
            taken
        };
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        let len = number(take(4));
        let file = take(len);
        let head = take(5);
        let (width, height) = (number(take(4)), number(take(4)));
        let verdict = match head[0] & 3 {
            0 => Verdict::Refused,
            1 => Verdict::Read,
            _ => Verdict::Unknown,
        };
        let area = if verdict == Verdict::Read {
            width * height
        } else {
            0
        };
        Self {
            file,
            is_whole: head[0] & 4 > 0,
            verdict,
            tolerance: head[1],
            ground: Colour([head[2], head[3], head[4]]),
            width,
            height,
            rgb: take(area * 3),
            grey: take(area),
        }
    }

    /// Largest difference from Pillow, over colors and grey. Pixels of another size differ by 255.
    fn difference(&self, pixels: &[[u8; 3]], width: usize, height: usize) -> u8 {
        if (width, height) != (self.width, self.height) {
            return u8::MAX;
        }
        let grey = Channels::Grey.planes(pixels);
        let ours = pixels.as_flattened().iter().chain(&grey);
        let theirs = self.rgb.iter().chain(self.grey);
        let differences = ours.zip(theirs).map(|(one, other)| one.abs_diff(*other));
        differences.max().unwrap_or(0)
    }
}

#[test]
#[ignore = "cases come from scripts/pictures_property"]
fn mutated_files_are_refused_or_read_as_pillow_reads_them() {
    let path = PathBuf::from(std::env::var_os(CASES).expect(CASES));
    let bytes = std::fs::read(&path).unwrap();
    let (mut rest, mut report) = (&bytes[..], Report::default());
    while !rest.is_empty() {
        let case = Case::split(&mut rest);
        let index = report.cases;
        report.cases += 1;
        report.whole += usize::from(case.is_whole);
        let decoded = Encoded::open(case.file).and_then(|encoded| encoded.decode());
        let Ok(raster) = decoded else {
            report.refused += 1;
            if case.is_whole && case.verdict == Verdict::Read {
                let (case, difference) = (index, 0);
                report.whole_refused.push(Example { case, difference });
            }
            continue;
        };
        let pixels = case.ground.under(&raster);
        let size = raster.size;
        let difference = match case.verdict {
            Verdict::Read => case.difference(&pixels, size.width, size.height),
            _ => 0,
        };
        let example = Example {
            case: index,
            difference,
        };
        match case.verdict {
            Verdict::Refused => report.taken_though_pillow_refuses.push(example),
            Verdict::Unknown => report.incomparable += 1,
            Verdict::Read if difference <= case.tolerance => report.same += 1,
            Verdict::Read => report.differ.push(example),
        }
    }
    let text = serde_json::to_vec(&report).unwrap();
    vbd_net::file::write_atomic(&path.with_extension("report"), &text).unwrap();
    let failed = [
        &report.differ,
        &report.taken_though_pillow_refuses,
        &report.whole_refused,
    ];
    let failed = failed.into_iter().flatten();
    let failed: Vec<&Example> = failed.take(EXAMPLES).collect();
    assert!(report.cases > 0 && failed.is_empty(), "{failed:?}");
}
