//! A model that is ready to run.

use std::ffi::{CString, c_char, c_int};

use super::library::{Failure, Runtime, text};
use super::table::{self, Allocator, MemoryInfo, StatusPtr, Table, TensorInfo, TypeInfo, Value};

/// How a session works.
pub struct Options {
    /// How many threads one run may keep busy, at least 1.
    pub threads: usize,
    /// The number of a GPU, or `None` for the CPU.
    pub cuda: Option<u32>,
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub name: String,
    /// The type of the elements as in ONNX's `TensorProto.DataType`; `None` where it is no tensor.
    pub element: Option<i32>,
    /// -1 where a dimension is open; empty where the model says nothing.
    pub dims: Vec<i64>,
}

impl Port {
    pub fn is_f32(&self) -> bool {
        self.element == Some(table::FLOAT)
    }

    /// The type in words.
    pub fn element_name(&self) -> String {
        const NAMES: [&str; 17] = [
            "undefined",
            "float32",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "float64",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
        ];
        let Some(code) = self.element else { return "no tensor".into() };
        let known = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
        known.map_or_else(|| format!("ONNX type {code}"), |name| (*name).into())
    }
}

/// f32 values that a run gave.
#[derive(Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Something of the library's that is to be released once.
struct Owned<T> {
    raw: *mut T,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    /// Calls a function that makes something.
    fn make(
        table: &Table,
        release: unsafe extern "system" fn(*mut T),
        make: impl FnOnce(*mut *mut T) -> StatusPtr,
    ) -> Result<Self, Failure> {
        let mut owned = Self { raw: std::ptr::null_mut(), release };
        table.check(make(&mut owned.raw))?;
        Ok(owned)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: made by the library, and nobody uses it any more.
            unsafe { (self.release)(self.raw) }
        }
    }
}

/// A model with its weights, optimised for this machine.
pub struct Session {
    raw: Owned<table::Session>,
    memory: Owned<MemoryInfo>,
    runtime: &'static Runtime,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

// SAFETY: the library allows runs of one session from any threads at once; nothing else here changes.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Makes a session of the bytes of an ONNX file. Weights in a second file are not found, unless the library is so old that it
    /// does not know the setting: that there are none is for the caller to see to.
    pub fn new(runtime: &'static Runtime, model: &[u8], options: &Options) -> Result<Self, Failure> {
        let table = &runtime.table;
        let options = session_options(table, options)?;
        let raw = Owned::make(table, table.ReleaseSession, |out| {
            let (data, length) = (model.as_ptr().cast(), model.len());
            // SAFETY: environment and options are alive; the model is readable for its length and copied.
            unsafe { (table.CreateSessionFromArray)(runtime.env, data, length, options.raw, out) }
        })?;
        let memory = Owned::make(table, table.ReleaseMemoryInfo, |out| {
            // SAFETY: `out` is writable.
            unsafe { (table.CreateCpuMemoryInfo)(table::ARENA, table::DEFAULT_MEMORY, out) }
        })?;
        let mut made = Self { raw, memory, runtime, inputs: Vec::new(), outputs: Vec::new() };
        made.inputs =
            made.ports(table.SessionGetInputCount, table.SessionGetInputName, table.SessionGetInputTypeInfo)?;
        made.outputs =
            made.ports(table.SessionGetOutputCount, table.SessionGetOutputName, table.SessionGetOutputTypeInfo)?;
        Ok(made)
    }

    /// Runs the model on its only input, `values` of this shape, and takes the outputs of these numbers, in this order.
    /// Fails where one of them is not f32.
    ///
    /// # Panics
    /// If there is no output of such a number, or `shape` and `values` don't fit each other.
    pub fn run(&self, values: &mut [f32], shape: &[usize], wanted: &[usize]) -> Result<Vec<Tensor>, Failure> {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        let table = &self.runtime.table;
        let dims: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
        let input = Owned::make(table, table.ReleaseValue, |out| {
            let (data, bytes) = (values.as_mut_ptr().cast(), size_of_val(values));
            // SAFETY: the memory is writable for these bytes, is of this type and shape, and outlives the value.
            unsafe {
                let (info, rank) = (self.memory.raw, dims.len());
                (table.CreateTensorWithDataAsOrtValue)(info, data, bytes, dims.as_ptr(), rank, table::FLOAT, out)
            }
        })?;
        let input_name = c_string(&self.inputs[0].name)?;
        let names = wanted.iter().map(|&at| c_string(&self.outputs[at].name)).collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let mut raw: Vec<*mut Value> = vec![std::ptr::null_mut(); wanted.len()];
        // SAFETY: one input and as many outputs as counted, all names C strings; NULL outputs are for the library to make.
        let status = unsafe {
            let (in_name, in_value, default) = (input_name.as_ptr(), input.raw.cast_const(), std::ptr::null());
            let (count, outs) = (raw.len(), raw.as_mut_ptr());
            (table.Run)(self.raw.raw, default, &in_name, &in_value, 1, pointers.as_ptr(), count, outs)
        };
        // Owned before anything can fail, so that all of them are released.
        let outputs: Vec<_> = raw.into_iter().map(|raw| Owned { raw, release: table.ReleaseValue }).collect();
        table.check(status)?;
        outputs.iter().zip(wanted).map(|(value, &at)| self.read(value, &self.outputs[at].name)).collect()
    }

    /// Copies what a run gave.
    fn read(&self, value: &Owned<Value>, name: &str) -> Result<Tensor, Failure> {
        let table = &self.runtime.table;
        let mut is_tensor: c_int = 0;
        // SAFETY: a value of the library's and a writable number.
        table.check(unsafe { (table.IsTensor)(value.raw, &mut is_tensor) })?;
        if is_tensor == 0 {
            return Err(Failure::ours(format!("output `{name}` is no tensor")));
        }
        let info = Owned::make(table, table.ReleaseTensorTypeAndShapeInfo, |out| {
            // SAFETY: a tensor of the library's.
            unsafe { (table.GetTensorTypeAndShape)(value.raw, out) }
        })?;
        let (element, dims) = tensor_info(table, info.raw)?;
        let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.filter(|_| element == table::FLOAT);
        let shape = shape.ok_or_else(|| Failure::ours(format!("output `{name}` is no float32 tensor")))?;
        let count = shape.iter().product();
        if count == 0 {
            return Ok(Tensor { shape, values: Vec::new() });
        }
        let mut data = std::ptr::null_mut();
        // SAFETY: a tensor of the library's on the CPU, where it puts outputs that nobody bound elsewhere.
        table.check(unsafe { (table.GetTensorMutableData)(value.raw, &mut data) })?;
        // SAFETY: the library says that the tensor is f32 and of this shape; nobody writes to it any more.
        let values = unsafe { std::slice::from_raw_parts(data.cast::<f32>().cast_const(), count) }.to_vec();
        Ok(Tensor { shape, values })
    }

    /// The inputs or the outputs, by the three functions that tell about them.
    fn ports(
        &self,
        count: unsafe extern "system" fn(*const table::Session, *mut usize) -> StatusPtr,
        name: unsafe extern "system" fn(*const table::Session, usize, *mut Allocator, *mut *mut c_char) -> StatusPtr,
        type_info: unsafe extern "system" fn(*const table::Session, usize, *mut *mut TypeInfo) -> StatusPtr,
    ) -> Result<Vec<Port>, Failure> {
        let table = &self.runtime.table;
        let session = self.raw.raw.cast_const();
        let (mut number, mut allocator) = (0, std::ptr::null_mut());
        // SAFETY: a live session, and writable results. The default allocator is never released.
        table.check(unsafe { count(session, &mut number) })?;
        // SAFETY: as above.
        table.check(unsafe { (table.GetAllocatorWithDefaultOptions)(&mut allocator) })?;
        let port = |at: usize| {
            let mut raw = std::ptr::null_mut();
            // SAFETY: `at` is below the number of ports; the name is a C string, freed by the allocator it came from.
            let name = unsafe {
                table.check(name(session, at, allocator, &mut raw))?;
                let name = text(raw);
                table.check((table.AllocatorFree)(allocator, raw.cast()))?;
                name
            };
            // SAFETY: as above.
            let info = Owned::make(table, table.ReleaseTypeInfo, |out| unsafe { type_info(session, at, out) })?;
            let (mut kind, mut tensor) = (0, std::ptr::null());
            // SAFETY: a live type, and writable results; the tensor's part lives as long as the type.
            table.check(unsafe { (table.GetOnnxTypeFromTypeInfo)(info.raw, &mut kind) })?;
            // SAFETY: as above.
            table.check(unsafe { (table.CastTypeInfoToTensorInfo)(info.raw, &mut tensor) })?;
            if kind != table::TENSOR || tensor.is_null() {
                return Ok(Port { name, element: None, dims: Vec::new() });
            }
            let (element, dims) = tensor_info(table, tensor)?;
            Ok(Port { name, element: Some(element), dims })
        };
        (0..number).map(port).collect()
    }
}

/// Type and dimensions of a live `info`.
fn tensor_info(table: &Table, info: *const TensorInfo) -> Result<(c_int, Vec<i64>), Failure> {
    let (mut element, mut rank) = (0, 0);
    // SAFETY: a live info, and writable results.
    table.check(unsafe { (table.GetTensorElementType)(info, &mut element) })?;
    // SAFETY: as above.
    table.check(unsafe { (table.GetDimensionsCount)(info, &mut rank) })?;
    let mut dims = vec![0; rank];
    // SAFETY: as above; there is room for `rank` numbers.
    table.check(unsafe { (table.GetDimensions)(info, dims.as_mut_ptr(), rank) })?;
    Ok((element, dims))
}

fn session_options(table: &Table, options: &Options) -> Result<Owned<table::Options>, Failure> {
    let made = Owned::make(table, table.ReleaseSessionOptions, |out| {
        // SAFETY: `out` is writable.
        unsafe { (table.CreateSessionOptions)(out) }
    })?;
    let threads = c_int::try_from(options.threads).unwrap_or(c_int::MAX);
    // SAFETY: live options and C strings. Idle threads sleep: the host has work for the cores between two runs.
    unsafe {
        table.check((table.SetIntraOpNumThreads)(made.raw, threads))?;
        table.check((table.SetInterOpNumThreads)(made.raw, 1))?;
        let (spin, no) = (c"session.intra_op.allow_spinning".as_ptr(), c"0".as_ptr());
        table.check((table.AddSessionConfigEntry)(made.raw, spin, no))?;
        // Nothing but the bytes: the format that its caller looked through, and weights in files of a folder that is none.
        let (format, onnx) = (c"session.load_model_format".as_ptr(), c"ONNX".as_ptr());
        table.check((table.AddSessionConfigEntry)(made.raw, format, onnx))?;
        let (folder, none) = (c"session.model_external_initializers_file_folder_path".as_ptr(), c"/dev/null".as_ptr());
        table.check((table.AddSessionConfigEntry)(made.raw, folder, none))?;
    }
    if let Some(device) = options.cuda {
        let cuda = Owned::make(table, table.ReleaseCUDAProviderOptions, |out| {
            // SAFETY: `out` is writable.
            unsafe { (table.CreateCUDAProviderOptions)(out) }
        })?;
        let device = c_string(&device.to_string())?;
        // SAFETY: live options, and one key with one value, both C strings.
        unsafe {
            let (key, value) = (c"device_id".as_ptr(), device.as_ptr());
            table.check((table.UpdateCUDAProviderOptions)(cuda.raw, &key, &value, 1))?;
            table.check((table.SessionOptionsAppendExecutionProvider_CUDA_V2)(made.raw, cuda.raw))?;
            // Some of the provider's kernels sum in the order of their arrival otherwise.
            table.check((table.SetDeterministicCompute)(made.raw, true))?;
        }
    }
    Ok(made)
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::ours(format!("the name {text:?} has a NUL in it")))
}
