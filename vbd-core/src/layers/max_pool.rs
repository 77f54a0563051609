//! Max-pooling with a correct gradient.
//!
//! Candle's version (0.11.1) divides the gradient by the size of the window and requires a window
//! that divides the image. This one uses Candle's forward pass with another backward pass.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Tensor,
};

/// Computes the maximum of each `kernel x kernel` window, with adjacent windows. Rows and columns that
/// are left over are ignored, as in PyTorch. Differentiable: the whole gradient is passed to the first
/// maximum of a window in row-major order.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use vbd_core::layers::max_pool2d;
///
/// let x = Var::new(&[[[[1.0_f32, 5.0, 9.0], [5.0, 2.0, 9.0]]]], &Device::Cpu)?;
/// let y = max_pool2d(&x, 2)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0]);
///
/// let gradient = y.backward()?.remove(&x).unwrap();
/// assert_eq!(gradient.flatten_all()?.to_vec1::<f32>()?, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Shapes
/// - `x`: `[batch, c, h, w] -> [batch, c, h / kernel, w / kernel]`
///
/// # Errors
/// If the kernel is 0 or does not fit the image, or the device fails.
pub fn max_pool2d(x: &Tensor, kernel: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if kernel == 0 || kernel > height.min(width) {
        candle_core::bail!("pool of {kernel} does not fit its input of {height} x {width}");
    }
    // On Metal, Candle's forward pass ignores the start offset of a view.
    let is_view = x.layout().start_offset() > 0;
    let x = if is_view {
        x.force_contiguous()?
    } else {
        x.clone()
    };
    x.apply_op1(MaxPool2d { kernel })
}

struct MaxPool2d {
    kernel: usize,
}

impl MaxPool2d {
    fn forward<S: BackendStorage>(&self, storage: &S, layout: &Layout) -> Result<(S, Shape)> {
        let window = (self.kernel, self.kernel);
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let shape = (batch, channels, height / self.kernel, width / self.kernel);
        Ok((storage.max_pool2d(layout, window, window)?, shape.into()))
    }
}

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(storage, layout)
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(storage, layout)
    }

    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        self.forward(storage, layout)
    }

    /// Visits the positions of a window in order, for all windows at once. A position with the
    /// maximum takes the gradient that is left.
    fn bwd(&self, x: &Tensor, largest: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let kernel = self.kernel;
        let (batch, channels, height, width) = x.dims4()?;
        let (_, _, rows, columns) = largest.dims4()?;
        let windows = x
            .narrow(2, 0, rows * kernel)?
            .narrow(3, 0, columns * kernel)?
            .reshape((batch * channels, rows, kernel, columns, kernel))?;
        let shape = (batch * channels, rows, columns);
        let (largest, mut rest) = (largest.reshape(shape)?, gradient.reshape(shape)?);
        let zeros = rest.zeros_like()?;
        let mut taken_rows = Vec::with_capacity(kernel);
        for row in 0..kernel {
            let windows = windows.narrow(2, row, 1)?.squeeze(2)?;
            let mut taken = Vec::with_capacity(kernel);
            for column in 0..kernel {
                let is_largest = windows.narrow(3, column, 1)?.squeeze(3)?.eq(&largest)?;
                taken.push(is_largest.where_cond(&rest, &zeros)?);
                rest = is_largest.where_cond(&zeros, &rest)?;
            }
            taken_rows.push(Tensor::stack(&taken, 3)?);
        }
        let gradient = Tensor::stack(&taken_rows, 2)?
            .reshape((batch, channels, rows * kernel, columns * kernel))?
            .pad_with_zeros(2, 0, height - rows * kernel)?
            .pad_with_zeros(3, 0, width - columns * kernel)?;
        Ok(Some(gradient))
    }
}
