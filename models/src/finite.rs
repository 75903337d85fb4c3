//! Whether tensors hold NaN or infinities. A ReLU or a clamp downstream can hide them, so they are looked for where weights are
//! read and written, and where a network's answer is taken.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor};

use crate::ops::cpu::simd;

/// Numbers looked at without a branch.
const CHUNK: usize = 4096;

/// The first number of a tensor, in row-major order, that is NaN or infinite, with its place. Integers never are. From a GPU one
/// number comes back where all are finite.
pub fn first_not_finite(tensor: &Tensor) -> Result<Option<(usize, f64)>> {
    if !tensor.dtype().is_float() || tensor.elem_count() == 0 {
        return Ok(None);
    }
    if !tensor.device().is_cpu() {
        // x · 0 is 0 for everything finite.
        let sum = tensor.to_dtype(DType::F32)?.affine(0.0, 0.0)?.sum_all()?.to_scalar::<f32>()?;
        return if sum == 0.0 { Ok(None) } else { first_not_finite(&tensor.to_device(&Device::Cpu)?) };
    }
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else { return Ok(None) };
    Ok(match storage {
        CpuStorage::F32(all) => first(&all[start..end], |v| v.to_bits() & 0x7f80_0000 == 0x7f80_0000, f64::from),
        CpuStorage::F16(all) => first(&all[start..end], |v| v.to_bits() & 0x7c00 == 0x7c00, f64::from),
        CpuStorage::BF16(all) => first(&all[start..end], |v| v.to_bits() & 0x7f80 == 0x7f80, f64::from),
        CpuStorage::F64(all) => first(&all[start..end], |v| !v.is_finite(), |v| v),
        _ => None,
    })
}

/// The name of the first tensor that holds NaN or an infinity, and which of them.
pub fn first_in(tensors: &BTreeMap<String, Tensor>) -> Result<Option<(&str, f64)>> {
    for (name, tensor) in tensors {
        if let Some((_, value)) = first_not_finite(tensor)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

fn first<T: Copy>(all: &[T], bad: impl Fn(T) -> bool, shown: impl Fn(T) -> f64) -> Option<(usize, f64)> {
    let chunk = all.chunks(CHUNK).position(|chunk| {
        simd(
            #[inline(always)]
            || chunk.iter().fold(false, |any, &value| any | bad(value)),
        )
    })?;
    let at = chunk * CHUNK + all[chunk * CHUNK..].iter().position(|&value| bad(value))?;
    Some((at, shown(all[at])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_in_every_type_and_place() {
        let device = Device::Cpu;
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
            let largest = if dtype == DType::F16 { 65504.0 } else { 3e38 };
            for (at, bad) in [(0, f32::NAN), (4095, f32::INFINITY), (4096, f32::NEG_INFINITY), (9999, -f32::NAN)] {
                let mut values = vec![largest; 10_000];
                let tensor =
                    |values: &[f32]| Tensor::from_slice(values, (100, 100), &device).unwrap().to_dtype(dtype).unwrap();
                assert_eq!(first_not_finite(&tensor(&values)).unwrap(), None, "{dtype:?}");
                values[at] = bad;
                let tensor = tensor(&values);
                let (found, value) = first_not_finite(&tensor).unwrap().unwrap();
                assert!(found == at && value.to_string() == bad.to_string(), "{dtype:?}: {value} at {found}");
                let turned = tensor.t().unwrap();
                assert_eq!(first_not_finite(&turned).unwrap().unwrap().0, at % 100 * 100 + at / 100);
                let row = tensor.narrow(0, at / 100, 1).unwrap();
                assert_eq!(first_not_finite(&row).unwrap().unwrap().0, at % 100);
            }
        }
        let whole = Tensor::new(&[i64::MAX, -1], &device).unwrap();
        assert_eq!(first_not_finite(&whole).unwrap(), None);
    }
}
