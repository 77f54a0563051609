//! Max-pooling, and the fault in Candle's version.

use candle_core::{Device, Result, Tensor, Var};
use vbd_core::layers::max_pool2d;

use crate::check::{assert_gradients, tensor, values};

/// The largest value of each window and the place of the first such in `x`, word for word.
fn plain(x: &Tensor, kernel: usize) -> Vec<(f64, usize)> {
    let (batch, channels, height, width) = x.dims4().unwrap();
    let x = values(x);
    let mut largest = Vec::new();
    for image in 0..batch * channels {
        for row in 0..height / kernel {
            for column in 0..width / kernel {
                let mut best = (f64::NEG_INFINITY, 0);
                for i in row * kernel..(row + 1) * kernel {
                    for j in column * kernel..(column + 1) * kernel {
                        let place = (image * height + i) * width + j;
                        if x[place] > best.0 {
                            best = (x[place], place);
                        }
                    }
                }
                largest.push(best);
            }
        }
    }
    largest
}

const SHAPES: [((usize, usize, usize, usize), usize); 6] = [
    ((2, 3, 4, 6), 2),
    ((2, 3, 7, 5), 2),
    ((1, 2, 7, 10), 3),
    ((2, 1, 3, 3), 3),
    ((3, 2, 2, 5), 1),
    ((1, 1, 1, 1), 1),
];

#[test]
fn pooling_takes_the_maximum_and_its_first_position_gets_the_gradient() -> Result<()> {
    for (shape, kernel) in SHAPES {
        // rounded, so that many windows have several largest values
        let x = tensor(1, shape, 4.0, 0.0);
        for x in [x.round()?, x] {
            let x = Var::from_tensor(&x)?;
            let y = max_pool2d(&x, kernel)?;
            let (_, _, height, width) = y.dims4()?;
            assert_eq!((height, width), (shape.2 / kernel, shape.3 / kernel));
            let largest = plain(&x, kernel);
            let expected: Vec<f64> = largest.iter().map(|(value, _)| *value).collect();
            assert_eq!(values(&y), expected);

            let coefficients = tensor(2, y.shape().clone(), 2.0, 0.0);
            let gradients = (&y * &coefficients)?.sum_all()?.backward()?;
            let mut expected = vec![0.0; x.elem_count()];
            for ((_, place), coefficient) in largest.iter().zip(values(&coefficients)) {
                expected[*place] = coefficient;
            }
            assert_eq!(values(gradients.get(&x).unwrap()), expected);
        }
    }
    Ok(())
}

#[test]
fn pooling_has_the_gradients_of_finite_differences() {
    for (shape, kernel) in SHAPES {
        let coefficients = tensor(
            2,
            (shape.0, shape.1, shape.2 / kernel, shape.3 / kernel),
            2.0,
            0.0,
        );
        assert_gradients(&[tensor(1, shape, 4.0, 0.0)], |inputs| {
            (max_pool2d(&inputs[0], kernel)?.sqr()? * &coefficients)?.sum_all()
        });
    }
}

#[test]
fn a_view_is_pooled_as_its_copy() -> Result<()> {
    let whole = tensor(1, (3, 2, 6, 7), 4.0, 0.0);
    for view in [
        whole.narrow(0, 1, 2)?,
        whole.narrow(3, 2, 5)?,
        whole.transpose(2, 3)?,
    ] {
        let found = max_pool2d(&view, 2)?;
        assert_eq!(
            values(&found),
            values(&max_pool2d(&view.force_contiguous()?, 2)?)
        );
        let coefficients = tensor(2, found.shape().clone(), 2.0, 0.0);
        assert_gradients(&[view], |inputs| {
            let pooled = max_pool2d(&inputs[0].transpose(2, 3)?, 2)?.transpose(2, 3)?;
            (pooled * &coefficients)?.sum_all()
        });
    }
    Ok(())
}

#[test]
fn a_window_that_does_not_fit_is_refused() {
    let x = tensor(1, (1, 1, 3, 2), 1.0, 0.0);
    assert!(max_pool2d(&x, 0).is_err());
    assert!(max_pool2d(&x, 3).is_err());
    assert!(max_pool2d(&x.flatten_all().unwrap(), 1).is_err());
}

#[test]
fn candles_own_max_pooling_still_has_the_wrong_gradient() -> Result<()> {
    let x = Var::new(&[[[[1.0_f32, 2.0], [4.0, 3.0]]]], &Device::Cpu)?;
    let gradient = x.max_pool2d(2)?.sum_all()?.backward()?.remove(&x).unwrap();
    assert_eq!(
        values(&gradient),
        [0.0, 0.0, 0.25, 0.0],
        "Candle's max_pool2d backward has changed. If it is 1 now, at the first largest value of a \
         window, and for windows that do not divide the image too, then layers/max_pool.rs can go: \
         call Candle's. If not, put the new value here."
    );
    Ok(())
}
