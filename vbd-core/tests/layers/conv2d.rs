//! The convolution.

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::{Conv2dConfig, VarBuilder, VarMap};
use vbd_core::layers::{
    Conv2dMap, Posterior, VariationalConfig, VariationalConv2d, WeightedMap, variational_conv2d,
    variational_from_conv2d,
};
use vbd_core::prior::Prior;

use crate::check::{
    DRAWS, KEY, assert_gradients, assert_same_moments, noise, options, sampled_weight, tensor,
    values,
};

/// Sizes, kernels, strides and paddings; rows and columns left over by the last window, both,
/// unequal, and within the padding.
const CASES: [Case; 16] = [
    Case::new([5, 4], [3, 3], 1, 0),
    Case::new([5, 4], [2, 2], 1, 1),
    Case::new([6, 6], [3, 3], 2, 0),
    Case::new([6, 5], [3, 3], 2, 0),
    Case::new([6, 5], [3, 3], 2, 1),
    Case::new([8, 6], [3, 3], 2, 1),
    Case::new([4, 5], [1, 1], 3, 0),
    Case::new([3, 4], [3, 2], 1, 2),
    Case::new([1, 3], [1, 3], 5, 2),
    Case::new([1, 1], [1, 1], 1, 0),
    Case::new([5, 4], [3, 3], 1, 1).grouped(2),
    Case::new([6, 5], [3, 3], 2, 1).grouped(2),
    Case::new([6, 6], [2, 2], 1, 0).dilated(2),
    Case::new([7, 6], [3, 2], 1, 2).dilated(2),
    Case::new([7, 8], [2, 2], 3, 1).dilated(2),
    // where channels, rows and columns are as many
    Case::new([2, 2], [2, 2], 1, 1),
];

struct Case {
    size: [usize; 2],
    kernel: [usize; 2],
    conv: Conv2dMap,
}

impl Case {
    const fn new(size: [usize; 2], kernel: [usize; 2], stride: usize, padding: usize) -> Self {
        Self {
            size,
            kernel,
            conv: Conv2dMap {
                stride,
                padding,
                groups: 1,
                dilation: 1,
            },
        }
    }

    const fn grouped(mut self, groups: usize) -> Self {
        self.conv.groups = groups;
        self
    }

    const fn dilated(mut self, dilation: usize) -> Self {
        self.conv.dilation = dilation;
        self
    }

    /// Two samples of two channels.
    fn x(&self) -> Tensor {
        tensor(3, (2, 2, self.size[0], self.size[1]), 3.0, 0.0)
    }

    /// Two channels to four.
    fn weight_shape(&self) -> (usize, usize, usize, usize) {
        let [height, width] = self.kernel;
        (4, 2 / self.conv.groups, height, width)
    }
}

/// The convolution, word for word.
fn plain(x: &Tensor, weight: &Tensor, conv: Conv2dMap) -> Vec<f64> {
    let Conv2dMap {
        stride,
        padding,
        groups,
        dilation,
    } = conv;
    let (batch, all_channels, height, width) = x.dims4().unwrap();
    let (out_channels, channels, kernel_height, kernel_width) = weight.dims4().unwrap();
    let out = out_channels;
    let span = |kernel: usize| dilation * (kernel - 1) + 1;
    let (x, weight) = (values(x), values(weight));
    let mut y = Vec::new();
    for (sample, out) in (0..batch).flat_map(|sample| (0..out).map(move |out| (sample, out))) {
        for row in (0..=height + 2 * padding - span(kernel_height)).step_by(stride) {
            for column in (0..=width + 2 * padding - span(kernel_width)).step_by(stride) {
                let mut sum = 0.0;
                for place in 0..channels * kernel_height * kernel_width {
                    let group = out / (out_channels / groups);
                    let channel = group * channels + place / (kernel_height * kernel_width);
                    let (tap_row, tap_column) =
                        (place / kernel_width % kernel_height, place % kernel_width);
                    let i = (row + dilation * tap_row).wrapping_sub(padding);
                    let j = (column + dilation * tap_column).wrapping_sub(padding);
                    if i < height && j < width {
                        let weight = weight[out * channels * kernel_height * kernel_width + place];
                        sum += weight
                            * x[((sample * all_channels + channel) * height + i) * width + j];
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn a_convolution_is_its_sum() -> Result<()> {
    for case in CASES {
        let (x, weight) = (case.x(), tensor(1, case.weight_shape(), 2.0, 0.0));
        let y = case.conv.apply(&x, &weight)?;
        let expected = plain(&x, &weight, case.conv);
        assert_eq!(y.elem_count(), expected.len());
        for (y, expected) in values(&y).iter().zip(expected) {
            assert!((y - expected).abs() < 1e-12, "{y} {expected}");
        }
    }
    Ok(())
}

#[test]
fn a_draw_and_its_kl_have_the_gradients_of_finite_differences() -> Result<()> {
    for case in CASES {
        let theta = tensor(1, case.weight_shape(), 2.0, 0.0);
        // log_alpha from about -4 to 8: some weights are masked
        let log_sigma2 = tensor(2, case.weight_shape(), 8.0, 0.0);
        let inputs = [theta.clone(), log_sigma2, case.x(), tensor(4, 4, 1.0, 0.0)];
        let y = case.conv.apply(&inputs[2], &theta)?;
        let coefficients = tensor(5, y.shape().clone(), 2.0, 0.0);
        for (masked, prior) in [(false, Prior::Hierarchical), (true, Prior::LogUniform)] {
            assert_gradients(&inputs, |inputs| {
                let [theta, log_sigma2, x, bias] = inputs else {
                    unreachable!()
                };
                let posterior = Posterior::new(theta.clone(), log_sigma2.clone());
                let bias = Some(bias.clone());
                let layer = VariationalConv2d::new(posterior, bias, case.conv, options(3.0))?;
                let y = if masked {
                    layer.sample_masked(x, &noise())?
                } else {
                    layer.sample(x, &noise())?
                };
                (y.sqr()? * &coefficients)?.sum_all()? + (layer.kl(prior)? * 0.7)?
            });
        }
    }
    Ok(())
}

#[test]
fn local_reparameterisation_has_the_mean_and_variance_of_weight_sampling() -> Result<()> {
    let shape = (2, 2, 2, 2);
    let (theta, log_sigma2) = (tensor(1, shape, 2.0, 0.0), tensor(2, shape, 3.0, -1.0));
    let x = tensor(3, (1, 2, 3, 2), 2.0, 0.0);
    let conv = Conv2dMap {
        stride: 2,
        padding: 1,
        ..Conv2dMap::default()
    };
    let posterior = Posterior::new(theta.clone(), log_sigma2.clone());
    let layer = VariationalConv2d::new(posterior, None, conv, options(1e9))?;
    let rows = x.broadcast_as((DRAWS, 2, 3, 2))?.contiguous()?;
    let local = layer.sample_masked(&rows, &noise())?;
    let sample = |draw| conv.apply(&x, &sampled_weight(&theta, &log_sigma2, draw)?);
    let sampled = (0..DRAWS).map(sample).collect::<Result<Vec<_>>>()?;
    assert_same_moments(
        &local.flatten_from(1)?,
        &Tensor::cat(&sampled, 0)?.flatten_from(1)?,
    );
    Ok(())
}

#[test]
fn the_noise_of_an_output_depends_on_its_channel_row_and_column() -> Result<()> {
    let zeros = Tensor::zeros((3, 1, 1, 1), DType::F32, &Device::Cpu)?;
    let posterior = Posterior::new(zeros.clone(), zeros);
    let layer = VariationalConv2d::new(posterior, None, Conv2dMap::default(), options(3.0))?;
    let x = Tensor::ones((70, 1, 2, 5), DType::F32, &Device::Cpu)?;
    // mean 0, variance 1
    let y = values(&layer.sample(&x, &noise())?);
    let mut draws = [0.0; 70];
    for unit in 0..30 {
        KEY.fill_normal(unit, &mut draws);
        for (sample, &draw) in draws.iter().enumerate() {
            assert!((y[sample * 30 + unit as usize] - f64::from(draw)).abs() < 1e-6);
        }
    }
    Ok(())
}

#[test]
fn forward_is_the_mean_with_pruned_weights_at_zero() -> Result<()> {
    let theta = Tensor::new(&[[[[1.0_f32, 2.0, 1e-3]]]], &Device::Cpu)?;
    let log_sigma2 = Tensor::new(&[[[[-3.0_f32, 9.0, -3.0]]]], &Device::Cpu)?;
    let bias = Some(Tensor::new(&[0.5_f32], &Device::Cpu)?);
    let posterior = Posterior::new(theta, log_sigma2);
    let layer = VariationalConv2d::new(posterior, bias, Conv2dMap::default(), options(3.0))?;
    let x = Tensor::new(&[[[[3.0_f32, 5.0, 7.0, 9.0]]]], &Device::Cpu)?;
    assert_eq!(values(&layer.keep_mask()?), [1.0, 0.0, 0.0]);
    assert_eq!(values(&layer.forward(&x)?), [3.5, 5.5]);
    Ok(())
}

#[test]
fn a_layer_in_a_var_map_accepts_the_options_of_candles_layers() -> Result<()> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let conv = Conv2dConfig {
        stride: 2,
        padding: 1,
        groups: 2,
        ..Conv2dConfig::default()
    };
    let config = VariationalConfig::default();
    let layer = variational_conv2d(2, 4, 3, conv, &config, vb.pp("conv1"))?;
    assert_eq!(layer.theta().dims(), [4, 1, 3, 3]);
    assert_eq!(*layer.map(), Conv2dMap::from(conv));
    let x = Tensor::ones((1, 2, 5, 4), DType::F32, &Device::Cpu)?;
    let gradients = layer.sample(&x, &noise())?.sum_all()?.backward()?;
    for name in ["conv1.weight", "conv1.log_sigma2", "conv1.bias"] {
        let data = map.data().lock().unwrap();
        assert!(gradients.get(data[name].as_tensor()).is_some(), "{name}");
    }
    // No weight so small that its noise is over the threshold.
    let weight = (0..36_u8).map(|place| f32::from(place) / 18.0 - 0.99);
    let weight = Tensor::from_iter(weight, &Device::Cpu)?.reshape((4, 1, 3, 3))?;
    let bias = Tensor::new(&[0.5_f32, -0.5, 1.0, 0.0], &Device::Cpu)?;
    let dense = candle_nn::Conv2d::new(weight, Some(bias), conv);
    let from_dense = variational_from_conv2d(&dense, &config, vb.pp("dense"))?;
    let error = (from_dense.forward(&x)? - dense.forward(&x)?)?.abs()?;
    assert!(error.max_all()?.to_scalar::<f32>()? < 1e-6);
    for (groups, out) in [(3, 4), (0, 4), (2, 3)] {
        let conv = Conv2dConfig { groups, ..conv };
        assert!(variational_conv2d(2, out, 3, conv, &config, vb.pp("bad")).is_err());
    }
    Ok(())
}

#[test]
fn shapes_that_do_not_agree_are_refused() -> Result<()> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let new = |theta: &[usize], log_sigma2: &[usize], bias: usize, stride| {
        let conv = Conv2dMap {
            stride,
            ..Conv2dMap::default()
        };
        let posterior = Posterior::new(zeros(theta), zeros(log_sigma2));
        VariationalConv2d::new(posterior, Some(zeros(&[bias])), conv, options(3.0))
    };
    assert!(new(&[2, 3, 1, 2], &[2, 3, 2, 1], 2, 1).is_err());
    assert!(new(&[2, 3, 1, 2], &[2, 3, 1, 2], 3, 1).is_err());
    assert!(new(&[2, 3], &[2, 3], 2, 1).is_err());
    assert!(new(&[2, 3, 1, 2], &[2, 3, 1, 2], 2, 0).is_err());
    let layer = new(&[2, 3, 4, 4], &[2, 3, 4, 4], 2, 1)?;
    assert!(layer.forward(&zeros(&[1, 3, 3, 5])).is_err());
    let stuck = Conv2dMap {
        stride: 0,
        ..Conv2dMap::default()
    };
    let kernel = zeros(&[2, 3, 1, 1]);
    assert!(stuck.apply(&zeros(&[1, 3, 4, 4]), &kernel).is_err());
    assert!(layer.forward(&zeros(&[1, 2, 5, 5])).is_err());
    Ok(())
}

#[test]
fn candles_own_convolution_still_has_no_gradient_where_rows_and_columns_are_left_over() -> Result<()>
{
    let x = Var::from_tensor(&tensor(1, (1, 1, 6, 5), 1.0, 0.0))?;
    let y = x.conv2d(&tensor(2, (1, 1, 3, 3), 1.0, 0.0), 0, 2, 1, 1)?;
    assert!(
        y.sum_all()?.backward().is_err(),
        "Candle's conv2d backward has changed. If `a_draw_and_its_kl_have_the_gradients_of_finite_\
         differences` holds without it, the padding and cutting in layers/conv2d.rs can go."
    );
    Ok(())
}
