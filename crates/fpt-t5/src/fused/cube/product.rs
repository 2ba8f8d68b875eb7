//! Matrix products on CubeCL's runtimes.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::DType;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use burn_cubecl::kernel::cast;
use burn_cubecl::kernel::matmul;
use burn_cubecl::kernel::matmul::MatmulStrategy;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::multi_level;
use cubek::matmul::strategy::Strategy;
use cubek::std::InputBinding;

/// From so many multiplications of one matrix product on, several kernels are tried for it where the program has
/// autotune: to compile them takes half a minute, which a small product never gets back.
#[cfg(feature = "autotune")]
const TUNED: usize = 1 << 30;

/// `a · b` over the last two axes, with sums in f32, as numbers of type `dtype`. Both are taken as numbers of the type
/// of `b`.
///
/// Products of f32 are products of f32. A tensor core would take them as TF32, with 10 bits of 23, and where the device
/// has that type the usual choice of a kernel would take the tensor cores; so there it is not asked.
pub(super) fn product(a: CubeTensor, b: CubeTensor, dtype: DType) -> CubeTensor {
    let a = if a.dtype == b.dtype {
        a
    } else {
        cast(a, b.dtype)
    };
    let empty = a.shape().num_elements() == 0 || b.shape().num_elements() == 0;
    let tf32 = ElemType::Float(FloatKind::TF32);
    if empty || b.dtype != DType::F32 || !a.client.properties().supports_type(tf32) {
        let strategy = strategy(&a, &b);
        return matmul::matmul(a, b, None, strategy, dtype)
            .unwrap_or_else(|error| panic!("no kernel for this product: {error:?}"));
    }
    without_tensor_cores(a, b, dtype)
}

#[cfg(feature = "autotune")]
fn strategy(a: &CubeTensor, b: &CubeTensor) -> MatmulStrategy {
    let (a, b) = (a.shape(), b.shape());
    let last = a.num_dims() - 1;
    if a[last - 1] * a[last] * b[last] >= TUNED {
        MatmulStrategy::Autotune
    } else {
        MatmulStrategy::Cube
    }
}

#[cfg(not(feature = "autotune"))]
fn strategy(_a: &CubeTensor, _b: &CubeTensor) -> MatmulStrategy {
    MatmulStrategy::Cube
}

fn without_tensor_cores(a: CubeTensor, b: CubeTensor, dtype: DType) -> CubeTensor {
    let out = matmul::init_matmul_output(&a, &b, dtype);
    let element = |x: &CubeTensor| dtype_to_storage_type(x.dtype);
    let mut dtypes = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: element(&a),
        rhs: element(&b),
        out: element(&out),
    });
    let (of_a, of_b) = (element(&a), element(&b));
    let client = out.client.clone();
    cubek::matmul::launch::launch_ref(
        &Strategy::MultiLevel(multi_level::Strategy::DoubleUnit(Default::default())),
        &client,
        InputBinding::new(a.binding(), of_a),
        InputBinding::new(b.binding(), of_b),
        out.clone().binding(),
        &mut dtypes,
    )
    .unwrap_or_else(|error| panic!("no kernel for this product: {error:?}"));
    out
}
