//! What is unusual about a data set, though it can be used.

use std::fmt;

use vbd_net::data::{Dataset, Samples};

use super::named::NamedSet;
use crate::error::Result;

/// Channels that an image has at most: more look like rows.
const MOST_CHANNELS: usize = 4;

/// Something unusual about a data set. The text says what to do about it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataWarning {
    /// Files of a named set are not the published ones.
    NotPublished {
        /// Name of the data set.
        data: String,
        /// Names of the files.
        files: Vec<&'static str>,
    },
    /// Labels run from 1, so that class 0 is empty.
    LabelsFromOne {
        /// Name of the data set.
        data: String,
        /// Largest label.
        largest: u8,
    },
    /// The last axis of the images looks like the channels.
    ChannelsLast {
        /// Name of the data set.
        data: String,
        /// Shape of an image, as read.
        shape: [usize; 3],
    },
    /// Classes without a sample in a split.
    EmptyClasses {
        /// Name of the data set.
        data: String,
        /// `training` or `test`.
        split: &'static str,
        /// Classes without a sample.
        classes: Vec<usize>,
    },
}

/// Finds everything unusual about a data set.
///
/// ```
/// use vbd_models::data::{DataWarning, warnings};
/// use vbd_net::data::{Dataset, Samples};
///
/// let samples = |labels: Vec<u8>| Samples::new(vec![0_u8; labels.len()], labels, 1);
/// let set = Dataset::new("own", [1, 1, 1], 3, samples(vec![0, 2])?, samples(vec![0, 1, 2])?)?;
/// let found = warnings(&set)?;
/// assert!(matches!(&found[..], [DataWarning::EmptyClasses { classes, .. }] if classes == &[1]));
/// # Ok::<(), vbd_models::Error>(())
/// ```
///
/// # Errors
/// Those of [`super::idx::files`], for a named set.
pub fn warnings(set: &Dataset) -> Result<Vec<DataWarning>> {
    let mut found = Vec::new();
    if let Some(named) = NamedSet::named(&set.name) {
        let files = named.unpublished(set)?;
        if !files.is_empty() {
            let data = set.name.clone();
            found.push(DataWarning::NotPublished { data, files });
        }
    }
    let [channels, rows, columns] = set.shape;
    if columns <= MOST_CHANNELS && channels > MOST_CHANNELS && rows > MOST_CHANNELS {
        found.push(DataWarning::ChannelsLast {
            data: set.name.clone(),
            shape: set.shape,
        });
    }
    let (train, test) = (counts(set, &set.train), counts(set, &set.test));
    let is_from_one = set.classes > 2
        && train.first() == Some(&0)
        && test.first() == Some(&0)
        && train[1..].iter().all(|&count| count > 0);
    if let Some(largest) = u8::try_from(set.classes).ok().filter(|_| is_from_one) {
        found.push(DataWarning::LabelsFromOne {
            data: set.name.clone(),
            largest: largest - 1,
        });
        return Ok(found);
    }
    for (split, counts) in [("training", train), ("test", test)] {
        let classes: Vec<usize> = (0..counts.len())
            .filter(|&class| counts[class] == 0)
            .collect();
        if !classes.is_empty() {
            found.push(DataWarning::EmptyClasses {
                data: set.name.clone(),
                split,
                classes,
            });
        }
    }
    Ok(found)
}

/// Counts the samples of each class; empty without labels.
fn counts(set: &Dataset, samples: &Samples) -> Vec<usize> {
    let mut counts = vec![
        0;
        if samples.labels().is_some() {
            set.classes
        } else {
            0
        }
    ];
    for &label in samples.labels().unwrap_or_default() {
        counts[usize::from(label)] += 1;
    }
    counts
}

impl fmt::Display for DataWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublished { data, files } => write!(
                formatter,
                "data set `{data}`: not the published {}: {}: results cannot be compared with \
                 others, use idx:FOLDER for a set of your own",
                if files.len() == 1 { "file" } else { "files" },
                files.join(", ")
            ),
            Self::ChannelsLast { data, shape } => write!(
                formatter,
                "data set `{data}`: images of {shape:?} are read as channels, rows, columns, but look like \
                 rows, columns, channels: in numpy, images.transpose(0, 3, 1, 2)"
            ),
            Self::LabelsFromOne { data, largest } => write!(
                formatter,
                "data set `{data}`: labels run from 1 to {largest}, so that class 0 has no sample: \
                 subtract 1 from each label"
            ),
            Self::EmptyClasses {
                data,
                split,
                classes,
            } => {
                let [word, verb, it] = if classes.len() == 1 {
                    ["class", "has", "it"]
                } else {
                    ["classes", "have", "them"]
                };
                let effect = if *split == "training" {
                    "a network cannot learn"
                } else {
                    "the test error does not cover"
                };
                write!(
                    formatter,
                    "data set `{data}`: {word} {} {verb} no {split} sample: {effect} {it}",
                    ranges(classes)
                )
            }
        }
    }
}

/// Joins increasing numbers, runs of three and more as `first to last`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == number => *last = number,
            _ => runs.push([number, number]),
        }
    }
    let texts = runs.into_iter().map(|[first, last]| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{digits, idx};

    fn set(classes: usize, train: &[u8], test: &[u8]) -> Dataset {
        let samples =
            |labels: &[u8]| Samples::new(vec![0_u8; labels.len()], labels.to_vec(), 1).unwrap();
        Dataset::new("own", [1, 1, 1], classes, samples(train), samples(test)).unwrap()
    }

    fn texts(set: &Dataset) -> Vec<String> {
        let found = warnings(set).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn empty_classes_of_each_split_are_listed() {
        let texts = texts(&set(9, &[0, 1, 7], &[0, 1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(
            texts[0].contains("classes 2 to 6, 8 have no training sample"),
            "{texts:?}"
        );
        let texts = self::texts(&set(3, &[0, 1, 2], &[0, 2]));
        assert!(texts[0].contains("class 1 has no test sample"), "{texts:?}");
    }

    #[test]
    fn labels_that_start_at_one_are_told_once() {
        let texts = texts(&set(4, &[1, 2, 3], &[3, 1]));
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("labels run from 1 to 3"), "{texts:?}");
        assert!(texts[0].contains("subtract 1"), "{texts:?}");
    }

    #[test]
    fn a_whole_set_of_ones_own_and_one_without_labels_have_no_warning() {
        assert_eq!(warnings(&set(2, &[0, 1], &[1, 0])).unwrap(), []);
        let without = || Samples::unlabelled(vec![0_u8; 3], 1).unwrap();
        let unlabelled = Dataset::new("own", [1, 1, 1], 0, without(), without()).unwrap();
        assert_eq!(warnings(&unlabelled).unwrap(), []);
    }

    #[test]
    fn channels_that_come_last_are_told() {
        let of = |shape: [usize; 3]| {
            let len = shape.iter().product::<usize>();
            let samples = || Samples::unlabelled(vec![0_u8; len], len).unwrap();
            texts(&Dataset::new("own", shape, 0, samples(), samples()).unwrap())
        };
        assert!(of([8, 9, 3])[0].contains("transpose(0, 3, 1, 2)"));
        for shape in [[3, 8, 9], [1, 28, 28], [1, 1, 3], [1, 20, 2]] {
            assert_eq!(of(shape), [""; 0], "{shape:?}");
        }
    }

    #[test]
    fn each_file_of_a_named_set_is_compared_with_the_published_one() {
        let mut set = digits(0, 40, 20).unwrap();
        set.name = "mnist".to_owned();
        let texts = texts(&set);
        assert_eq!(texts.len(), 1, "{texts:?}");
        for name in idx::FILE_NAMES {
            assert!(texts[0].contains(name), "{texts:?}");
        }
    }
}
