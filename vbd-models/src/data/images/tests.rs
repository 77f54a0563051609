//! Folders of small images: order, channels, and one test for each way of being malformed.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what an atomic write would take too long for"
)]

use std::fs;

use image::{GrayImage, Luma, Rgb, RgbImage, RgbaImage};
use tempfile::TempDir;

use super::*;
use crate::data::load;

/// Files of each split and class: those of `train/cat` are `a.png`, `b.PNG`, `sub/c.png`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, grey) in [
        ("train/dog/z.png", 1),
        ("train/cat/b.png", 2),
        ("train/cat/a.png", 3),
        ("train/cat/sub/c.png", 4),
        ("train/cat-big/x.png", 5),
        ("test/cat/a.png", 6),
        ("test/cat-big/a.png", 7),
        ("test/dog/a.png", 8),
    ] {
        put_grey(&folder, path, grey);
    }
    folder
}

fn at(folder: &TempDir, path: &str) -> PathBuf {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// An image of 3 x 2 pixels, of which the second is 100.
fn put_grey(folder: &TempDir, path: &str, grey: u8) {
    let mut image = GrayImage::from_pixel(3, 2, Luma([grey]));
    image.put_pixel(1, 0, Luma([100]));
    image.save(at(folder, path)).unwrap();
}

fn read(folder: &TempDir) -> Result<Dataset> {
    load(&format!("images:{}", folder.path().display()), None)
}

#[track_caller]
fn assert_refused(folder: &TempDir, words: &[&str]) {
    let message = read(folder).unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

/// First pixel and label of each training sample.
fn train(set: &Dataset) -> Vec<(u8, u8)> {
    let labels = set.train.labels().unwrap().iter();
    let pixels = (0..set.train.len()).map(|index| set.train.input(index).bytes().unwrap()[0]);
    pixels.zip(labels.copied()).collect()
}

#[test]
fn classes_and_images_have_the_order_of_torchvision() {
    // for root, _, names in sorted(os.walk(folder, followlinks=True)): for name in sorted(names)
    let folder = folder();
    put_grey(&folder, "train/cat/sub-2/d.png", 9);
    put_grey(&folder, "train/cat/sub/deeper/e.png", 11);
    put_grey(&folder, "train/cat/B.png", 10);
    let set = read(&folder).unwrap();
    assert_eq!(set.class_names, ["cat", "cat-big", "dog"]);
    assert_eq!((set.shape, set.classes), ([1, 2, 3], 3));
    let cats = [(10, 0), (3, 0), (2, 0), (4, 0), (9, 0), (11, 0)];
    let expected = [&cats[..], &[(5, 1), (1, 2)]].concat();
    assert_eq!(train(&set), expected);
    assert_eq!(
        set.train.input(0).bytes(),
        Some(&[10, 100, 10, 10, 10, 10][..])
    );
    assert_eq!(set.test.labels(), Some(&[0, 1, 2][..]));
    // A directory of images needs no prefix, and only files that end like an image are read.
    fs::write(at(&folder, "train/cat/notes.txt"), "no image").unwrap();
    fs::write(at(&folder, "train/readme.png"), "not in a class").unwrap();
    let again = load(folder.path().to_str().unwrap(), None).unwrap();
    assert_eq!(again, set);
}

#[test]
fn one_image_in_color_makes_all_of_them_rgb() {
    let folder = folder();
    let mut image = RgbImage::from_pixel(3, 2, Rgb([9, 9, 9]));
    image.save(at(&folder, "train/dog/grey.png")).unwrap();
    assert_eq!(read(&folder).unwrap().shape, [1, 2, 3]);
    image.put_pixel(0, 0, Rgb([1, 2, 3]));
    for path in ["test/dog/color.png", "train/cat/color.png"] {
        image.save(at(&folder, path)).unwrap();
        let set = read(&folder).unwrap();
        assert_eq!(set.shape, [3, 2, 3]);
        let grey = [3, 100, 3, 3, 3, 3];
        assert_eq!(set.train.input(0).bytes(), Some(&[grey; 3].concat()[..]));
    }
    let set = read(&folder).unwrap();
    let color = [1, 9, 9, 9, 9, 9, 2, 9, 9, 9, 9, 9, 3, 9, 9, 9, 9, 9];
    // After a.png and b.png.
    assert_eq!(set.train.input(2).bytes(), Some(&color[..]));
}

#[test]
fn transparent_pixels_are_laid_on_white() {
    let folder = folder();
    let pixels = [10, 10, 10, 255, 90, 90, 90, 0, 20, 20, 20, 255].repeat(2);
    let image = RgbaImage::from_raw(3, 2, pixels).unwrap();
    image.save(at(&folder, "train/cat/0.png")).unwrap();
    let set = read(&folder).unwrap();
    assert_eq!(
        set.train.input(0).bytes(),
        Some(&[10, 255, 20, 10, 255, 20][..])
    );
    RgbaImage::new(3, 2)
        .save(at(&folder, "train/cat/0.png"))
        .unwrap();
    assert_refused(&folder, &["train/cat/0.png: nothing shows on white"]);
}

#[test]
fn an_odd_file_is_named() {
    let odd = |content: &[u8], name: &str, words: &[&str]| {
        let folder = folder();
        fs::write(at(&folder, name), content).unwrap();
        assert_refused(&folder, &[&[name], words].concat());
    };
    odd(b"", "train/dog/0.png", &["file is empty"]);
    odd(
        b"<!DOCTYPE html>",
        "test/cat/0.JPG",
        &["neither a PNG nor a JPEG image"],
    );
    // torchvision reads it, so it is not passed over.
    odd(
        b"BM",
        "train/cat/0.bmp",
        &["neither a PNG nor a JPEG image"],
    );
    let folder = folder();
    let whole = fs::read(at(&folder, "train/cat/a.png")).unwrap();
    odd(&whole[..whole.len() - 20], "train/cat/b.png", &["PNG is"]);
    GrayImage::new(2, 3)
        .save(at(&folder, "test/dog/b.png"))
        .unwrap();
    assert_refused(
        &folder,
        &[
            "test/dog/b.png: image size is 2 x 3: expected 3 x 2, as of",
            "train/cat/a.png",
        ],
    );
}

#[test]
fn of_several_odd_files_the_first_is_named() {
    let folder = folder();
    for number in 10..60 {
        fs::write(at(&folder, &format!("train/cat/{number}.png")), "x").unwrap();
    }
    // The size is that of the first image.
    put_grey(&folder, "train/cat/0.png", 1);
    for _ in 0..5 {
        assert_refused(&folder, &["train/cat/10.png: neither"]);
    }
}

#[test]
fn classes_that_do_not_match_or_are_empty_are_named() {
    let changed = |change: &dyn Fn(&TempDir), words: &[&str]| {
        let folder = folder();
        change(&folder);
        assert_refused(&folder, words);
    };
    changed(
        &|folder| put_grey(folder, "test/bird/a.png", 1),
        &[
            "test/bird: class is not one of training",
            "cat, cat-big, dog",
        ],
    );
    changed(
        &|folder| put_grey(folder, "train/bird/a.png", 1),
        &["test/bird: class is missing"],
    );
    changed(
        &|folder| fs::create_dir(folder.path().join("train/empty")).unwrap(),
        &["train/empty: number of images is 0", ".jpeg"],
    );
    changed(
        &|folder| fs::remove_dir_all(folder.path().join("test")).unwrap(),
        &["test: directory is missing: expected train/CLASS/ and test/CLASS/"],
    );
    changed(
        &|folder| {
            fs::remove_dir_all(folder.path().join("test")).unwrap();
            fs::create_dir(folder.path().join("test")).unwrap();
        },
        &["test: number of classes is 0"],
    );
}

#[test]
#[cfg(unix)]
fn links_are_followed_and_those_that_never_end_are_named() {
    use std::os::unix::fs::symlink;

    let folder = folder();
    let other = tempfile::tempdir().unwrap();
    put_grey(&other, "more/y.png", 50);
    symlink(
        other.path().join("more"),
        folder.path().join("train/dog/more"),
    )
    .unwrap();
    assert_eq!(train(&read(&folder).unwrap()).last(), Some(&(50, 2)));
    symlink(
        folder.path().join("train"),
        folder.path().join("train/dog/again"),
    )
    .unwrap();
    assert_refused(&folder, &["again", "a link to one that contains it"]);
}

#[test]
fn too_many_pixels_are_refused_before_any_is_decoded() {
    let size = Size {
        width: 1 << 13,
        height: 1 << 13,
    };
    assert!(check_total(Path::new("f"), 21, size).is_ok());
    let message = check_total(Path::new("f"), 22, size)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("22 images of 8192 x 8192 pixels"),
        "{message}"
    );
}
