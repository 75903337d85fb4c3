//! The part of ONNX Runtime's C API (`onnxruntime_c_api.h`) that a classifier needs.
//!
//! The API is one struct of function pointers that only ever grows at its end, so each function has a fixed place in it.
//! Enumerations are plain integers here: a newer library may return values that this version has no name for.

use std::ffi::{c_char, c_int, c_void};

/// The API's version in which every function below is there: ONNX Runtime 1.17.
pub(super) const VERSION: u32 = 17;

/// `ORT_LOGGING_LEVEL_FATAL`: errors come back as statuses, and nothing but the host writes to the terminal.
pub(super) const LOG_FATAL: c_int = 4;
/// `ONNX_TYPE_TENSOR`.
pub(super) const TENSOR: c_int = 1;
/// `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`.
pub(super) const FLOAT: c_int = 1;
/// `OrtArenaAllocator` and `OrtMemTypeDefault`.
pub(super) const ARENA: c_int = 1;
pub(super) const DEFAULT_MEMORY: c_int = 0;

/// `OrtApiBase`, what the one exported function returns.
#[repr(C)]
pub(super) struct Base {
    pub(super) get_api: unsafe extern "system" fn(version: u32) -> *const *const c_void,
    pub(super) version: unsafe extern "system" fn() -> *const c_char,
}

/// `OrtGetApiBase`.
pub(super) type GetBase = unsafe extern "system" fn() -> *const Base;

macro_rules! opaque {
    ($($name:ident)*) => {
        $(
            /// The library's own; only pointers to it exist here.
            #[repr(C)]
            pub(super) struct $name {
                _private: [u8; 0],
            }
        )*
    };
}

opaque!(Status Env Session Options TypeInfo TensorInfo Value MemoryInfo Allocator Cuda);

macro_rules! table {
    ($($place:literal $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by their names in C.
        #[allow(non_snake_case)]
        pub(super) struct Table {
            $(pub(super) $name: unsafe extern "system" fn($($argument),*) $(-> $result)?,)*
        }

        impl Table {
            /// Copies the functions out of an `OrtApi`, or names the one that isn't there.
            ///
            /// # Safety
            /// `api` leads to an `OrtApi` of version 17 or newer.
            pub(super) unsafe fn read(api: *const *const c_void) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the struct has all places up to the last of version 17.
                        let function = unsafe { *api.add($place) };
                        if function.is_null() {
                            return Err(stringify!($name));
                        }
                        // SAFETY: the function in this place has this signature in every version of the API.
                        unsafe {
                            std::mem::transmute::<
                                *const c_void,
                                unsafe extern "system" fn($($argument),*) $(-> $result)?,
                            >(function)
                        }
                    },)*
                })
            }
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn every_function_is_in_its_place() {
                $(assert_eq!(
                    std::mem::offset_of!(ort_sys::OrtApi, $name),
                    $place * size_of::<usize>(),
                    stringify!($name)
                );)*
            }
        }
    };
}

/// NULL for success.
pub(super) type StatusPtr = *mut Status;

table! {
    1 GetErrorCode(*const Status) -> c_int;
    2 GetErrorMessage(*const Status) -> *const c_char;
    3 CreateEnv(c_int, *const c_char, *mut *mut Env) -> StatusPtr;
    8 CreateSessionFromArray(*const Env, *const c_void, usize, *const Options, *mut *mut Session) -> StatusPtr;
    9 Run(
        *mut Session,
        *const c_void,
        *const *const c_char,
        *const *const Value,
        usize,
        *const *const c_char,
        usize,
        *mut *mut Value
    ) -> StatusPtr;
    10 CreateSessionOptions(*mut *mut Options) -> StatusPtr;
    24 SetIntraOpNumThreads(*mut Options, c_int) -> StatusPtr;
    25 SetInterOpNumThreads(*mut Options, c_int) -> StatusPtr;
    30 SessionGetInputCount(*const Session, *mut usize) -> StatusPtr;
    31 SessionGetOutputCount(*const Session, *mut usize) -> StatusPtr;
    33 SessionGetInputTypeInfo(*const Session, usize, *mut *mut TypeInfo) -> StatusPtr;
    34 SessionGetOutputTypeInfo(*const Session, usize, *mut *mut TypeInfo) -> StatusPtr;
    36 SessionGetInputName(*const Session, usize, *mut Allocator, *mut *mut c_char) -> StatusPtr;
    37 SessionGetOutputName(*const Session, usize, *mut Allocator, *mut *mut c_char) -> StatusPtr;
    49 CreateTensorWithDataAsOrtValue(
        *const MemoryInfo,
        *mut c_void,
        usize,
        *const i64,
        usize,
        c_int,
        *mut *mut Value
    ) -> StatusPtr;
    50 IsTensor(*const Value, *mut c_int) -> StatusPtr;
    51 GetTensorMutableData(*mut Value, *mut *mut c_void) -> StatusPtr;
    55 CastTypeInfoToTensorInfo(*const TypeInfo, *mut *const TensorInfo) -> StatusPtr;
    56 GetOnnxTypeFromTypeInfo(*const TypeInfo, *mut c_int) -> StatusPtr;
    60 GetTensorElementType(*const TensorInfo, *mut c_int) -> StatusPtr;
    61 GetDimensionsCount(*const TensorInfo, *mut usize) -> StatusPtr;
    62 GetDimensions(*const TensorInfo, *mut i64, usize) -> StatusPtr;
    65 GetTensorTypeAndShape(*const Value, *mut *mut TensorInfo) -> StatusPtr;
    69 CreateCpuMemoryInfo(c_int, c_int, *mut *mut MemoryInfo) -> StatusPtr;
    76 AllocatorFree(*mut Allocator, *mut c_void) -> StatusPtr;
    78 GetAllocatorWithDefaultOptions(*mut *mut Allocator) -> StatusPtr;
    93 ReleaseStatus(*mut Status);
    94 ReleaseMemoryInfo(*mut MemoryInfo);
    95 ReleaseSession(*mut Session);
    96 ReleaseValue(*mut Value);
    98 ReleaseTypeInfo(*mut TypeInfo);
    99 ReleaseTensorTypeAndShapeInfo(*mut TensorInfo);
    100 ReleaseSessionOptions(*mut Options);
    130 AddSessionConfigEntry(*mut Options, *const c_char, *const c_char) -> StatusPtr;
    204 SessionOptionsAppendExecutionProvider_CUDA_V2(*mut Options, *const Cuda) -> StatusPtr;
    205 CreateCUDAProviderOptions(*mut *mut Cuda) -> StatusPtr;
    206 UpdateCUDAProviderOptions(*mut Cuda, *const *const c_char, *const *const c_char, usize) -> StatusPtr;
    208 ReleaseCUDAProviderOptions(*mut Cuda);
    273 SetDeterministicCompute(*mut Options, bool) -> StatusPtr;
}
