// What candle's CUDA kernels need to be C++ for the processor: one thread of one block at a time.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

using std::isnan;
using std::max;
using std::min;

#define __global__
#define __device__ inline
#define __host__
#define __forceinline__
#define __shared__ static thread_local
#define __syncthreads()

struct Dim3 { unsigned x, y, z; };
extern thread_local Dim3 blockIdx, threadIdx, blockDim, gridDim;

inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
template <typename T> inline T atomicAdd(T *at, T value) { T old = *at; *at += value; return old; }
// Only kernels that the driver replaces go on after it.
template <typename T> inline T __shfl_xor_sync(unsigned, T value, int, int = 32) { return value; }

struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }

// Types that no kernel for f32, f64 and whole numbers computes with, but that some sources name.
struct __half { float value; };
struct __nv_bfloat16 { float value; };
enum { __NV_E4M3 };
struct __nv_fp8_e4m3 {
  unsigned char __x;
  __nv_fp8_e4m3() = default;
  __nv_fp8_e4m3(float) {}
  operator float() const { return 0; }
};
inline int __nv_cvt_fp8_to_halfraw(unsigned char, int) { return 0; }
inline float __half2float(int) { return 0; }
