//! The functions behind a Rust plugin's table, called as a host in C would, with right and with broken arguments.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use limbeck_backend::abi::{self, Str};
use limbeck_backend::dlpack::{CUDA, DLDataType, DLDevice, DLTensor};
use limbeck_backend::*;
use serde_json::json;

/// Doubles its 2×1×2 images as logits and gives the first pixel as feature; its config makes it misbehave.
struct Toy {
    panics: bool,
}

const SIZE: InputSize = InputSize { channels: 2, height: 1, width: 2 };

impl Backend for Toy {
    fn manifest() -> Manifest {
        Manifest {
            operations: vec!["classify".into(), "denoise".into(), "vjp".into()],
            ..Manifest::new("toy", "1.0.0")
        }
    }

    fn create(host: &Host, config: &serde_json::Value) -> Result<Self> {
        host.log(Level::Info, "creating");
        match config["create"].as_str() {
            Some("fail") => Err(Error::new("no weights at `/w`")),
            Some("panic") => panic!("create went {}", "wrong"),
            _ => Ok(Self { panics: config["panics"] == true }),
        }
    }

    fn describe(&self) -> Description {
        Description { classes: 4, input: SIZE, features: Some(1), variance: false, network: None }
    }

    fn classifier(&self) -> Option<&dyn Classifier> {
        Some(self)
    }

    fn denoiser(&self) -> Option<&dyn Denoiser> {
        Some(self)
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Classifier for Toy {
    fn classify(
        &self,
        _: &Exec,
        images: &Input<'_>,
        logits: &mut Output<'_>,
        features: Option<&mut Output<'_>>,
    ) -> Result<()> {
        assert!(!self.panics, "row 0 upset me");
        let images = images.f32s()?;
        logits.copy_from(&images.iter().map(|value| value * 2.0).collect::<Vec<_>>())?;
        match features {
            Some(features) => features.copy_from(&images.chunks(4).map(|image| image[0]).collect::<Vec<_>>()),
            None => Ok(()),
        }
    }
}

impl Denoiser for Toy {
    fn denoise(&self, _: &Exec, noisy: &Noisy<'_>, epsilon: &mut Output<'_>, _: Option<&mut Output<'_>>) -> Result<()> {
        let conditions: Vec<f32> = match &noisy.condition {
            Condition::Classes(classes) => classes.i64s()?.iter().map(|&class| class as f32).collect(),
            Condition::Embedding(rows) => rows.f32s()?.chunks(rows.shape()[1]).map(|row| row.iter().sum()).collect(),
        };
        let rows = noisy.x.f32s()?.chunks(4).zip(noisy.t.f32s()?).zip(conditions);
        let values: Vec<f32> = rows.flat_map(|((x, t), add)| x.iter().map(move |x| x + t + add)).collect();
        epsilon.copy_from(&values)
    }
}

impl Differentiable for Toy {
    fn vjp(&self, _: &Exec, _: &Input<'_>, d_logits: &Input<'_>, d_images: &mut Output<'_>) -> Result<()> {
        d_images.copy_from(&d_logits.f32s()?.iter().map(|value| value * 2.0).collect::<Vec<_>>())
    }
}

export_backend!(Toy);

fn table() -> &'static abi::Backend {
    let mut table = std::ptr::null();
    // SAFETY: `table` is writable.
    let code = unsafe { limbeck_backend_query_v1(abi::MINOR, &mut table) };
    assert_eq!(code, abi::OK);
    // SAFETY: on success the table lives as long as the process.
    unsafe { table.as_ref() }.unwrap()
}

const HOST: abi::Host = abi::Host {
    struct_size: size_of::<abi::Host>() as u32,
    abi_minor: 0,
    ctx: null_mut(),
    log: None,
    cancelled: None,
    plugin_dir: Str::EMPTY,
    max_threads: 1,
    reserved: 0,
    device: DLDevice::CPU,
};

fn create(host: &abi::Host, config: serde_json::Value) -> std::result::Result<*mut c_void, (c_int, String)> {
    let mut instance = null_mut();
    let config = config.to_string();
    // SAFETY: as the header asks; HOST is a constant without pointers.
    match unsafe { table().create.unwrap()(host, Str::borrow(&config), &mut instance) } {
        abi::OK => Ok(instance),
        code => Err((code, last_error(null_mut()))),
    }
}

fn last_error(instance: *mut c_void) -> String {
    // SAFETY: the message is copied at once.
    let bytes = unsafe { table().last_error.unwrap()(instance).bytes() }.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A batch of two images with an output for logits; each test breaks one thing in it.
struct Call {
    op: u32,
    exec: abi::Exec,
    shape: [i64; 4],
    strides: [i64; 4],
    data: Vec<f32>,
    input: DLTensor,
    out_shape: [i64; 2],
    out: Vec<f32>,
    output: DLTensor,
}

impl Call {
    fn new() -> Box<Self> {
        let stream = null_mut();
        let exec = abi::Exec {
            struct_size: size_of::<abi::Exec>() as u32,
            reserved: 0,
            device: DLDevice::CPU,
            stream,
            flags: 0,
        };
        let empty = DLTensor {
            data: null_mut(),
            device: DLDevice::CPU,
            ndim: 4,
            dtype: DLDataType::F32,
            shape: null_mut(),
            strides: null_mut(),
            byte_offset: 0,
        };
        let mut call = Box::new(Self {
            op: abi::OP_CLASSIFY,
            exec,
            shape: [2, 2, 1, 2],
            strides: [4, 2, 2, 1],
            data: (0..8).map(|value| value as f32).collect(),
            input: empty,
            out_shape: [2, 4],
            out: vec![f32::NAN; 8],
            output: DLTensor { ndim: 2, ..empty },
        });
        call.input.data = call.data.as_mut_ptr().cast();
        call.output.data = call.out.as_mut_ptr().cast();
        call
    }

    fn run(&mut self, instance: *mut c_void) -> std::result::Result<Vec<f32>, (c_int, String)> {
        self.input.shape = self.shape.as_mut_ptr();
        self.input.strides = self.strides.as_mut_ptr();
        self.output.shape = self.out_shape.as_mut_ptr();
        // SAFETY: the pointers lead into this struct, or are NULL where a test wants them to be.
        match unsafe { table().run.unwrap()(instance, self.op, &self.exec, &self.input, 1, &mut self.output, 1) } {
            abi::OK => Ok(self.out.clone()),
            code => Err((code, last_error(instance))),
        }
    }
}

fn destroy(instance: *mut c_void) {
    // SAFETY: the last use of an instance that `create` gave.
    unsafe { table().destroy.unwrap()(instance) }
}

#[test]
fn a_right_call_goes_through() {
    let instance = create(&HOST, json!({})).unwrap();
    let expected: Vec<f32> = (0..8).map(|value| 2.0 * value as f32).collect();
    assert_eq!(Call::new().run(instance), Ok(expected));
    let mut json = Str::EMPTY;
    // SAFETY: a live instance and a writable string, read while the instance lives.
    let description = unsafe {
        assert_eq!(table().describe.unwrap()(instance, &mut json), abi::OK);
        json.bytes().unwrap()
    };
    let description: Description = serde_json::from_slice(description).unwrap();
    assert_eq!((description.classes, description.input), (4, SIZE));
    destroy(instance);
}

/// One way in which a host breaks its promises, and a part of the message that says so.
type Broken = (&'static str, fn(&mut Call));

#[test]
fn every_broken_promise_of_the_host_is_named() {
    let cases: &[Broken] = &[
        ("its data is NULL", |call| call.input.data = null_mut()),
        ("negative dimension", |call| call.shape[0] = -2),
        ("larger than memory", |call| call.shape = [i64::MAX, i64::MAX, 1, 2]),
        ("not compact and row-major", |call| call.strides = [-4, 2, 2, 1]),
        ("not compact and row-major", |call| call.strides = [4, 2, 2, 0]),
        ("9 dimensions", |call| call.input.ndim = 9),
        ("-1 dimensions", |call| call.input.ndim = -1),
        ("expected type f32, got i64", |call| call.input.dtype = DLDataType::I64),
        ("type f32x4 is not used", |call| call.input.dtype.lanes = 4),
        ("isn't aligned", |call| call.input.byte_offset = 2),
        ("leads beyond all memory", |call| call.input.byte_offset = u64::MAX - 3),
        ("the network needs [n, 2, 1, 2]", |call| call.shape = [2, 1, 2, 2]),
        ("an output has shape [2, 3]", |call| call.out_shape[1] = 3),
        ("its data is NULL", |call| call.output.data = null_mut()),
        ("a tensor on cuda:0", |call| call.input.device = DLDevice { device_type: CUDA, device_id: 0 }),
        ("operation 9", |call| call.op = 9),
        ("1 inputs for operation 2", |call| call.op = abi::OP_DENOISE),
        ("limbeck_exec has 8 bytes", |call| call.exec.struct_size = 8),
        ("stream handle 2 names a different stream", |call| {
            call.exec.device = DLDevice { device_type: CUDA, device_id: 0 };
            call.exec.stream = std::ptr::without_provenance_mut(2);
        }),
    ];
    let instance = create(&HOST, json!({})).unwrap();
    for (part, break_it) in cases {
        let mut call = Call::new();
        break_it(&mut call);
        let (code, message) = call.run(instance).unwrap_err();
        assert!(message.contains(part), "expected `{part}` in `{message}`");
        assert!([abi::INVALID, abi::UNSUPPORTED].contains(&code), "{code}: {message}");
    }
    Call::new().run(instance).expect("none of this harms the instance");
    assert_eq!(Call::new().run(null_mut()).unwrap_err(), (abi::INVALID, "`instance` is NULL".into()));
    destroy(instance);
    destroy(null_mut());
}

#[test]
fn a_failing_create_says_why() {
    let failed = create(&HOST, json!({"create": "fail"})).unwrap_err();
    assert_eq!(failed, (abi::FAILED, "no weights at `/w`".into()));
    let panicked = create(&HOST, json!({"create": "panic"})).unwrap_err();
    assert_eq!(panicked, (abi::POISONED, "it panicked: create went wrong".into()));
    let short = create(&abi::Host { struct_size: 16, ..HOST }, json!({})).unwrap_err();
    assert_eq!(short, (abi::INVALID, "limbeck_host has 16 bytes, version 1.0 needs more".into()));
}

#[test]
fn a_panic_poisons_its_instance_alone() {
    let (bad, good) = (create(&HOST, json!({"panics": true})).unwrap(), create(&HOST, json!({})).unwrap());
    assert_eq!(Call::new().run(bad).unwrap_err(), (abi::POISONED, "it panicked: row 0 upset me".into()));
    let again = Call::new().run(bad).unwrap_err();
    assert_eq!(again, (abi::POISONED, "unusable since an earlier panic: row 0 upset me".into()));
    Call::new().run(good).unwrap();
    destroy(bad);
    destroy(good);
}

#[test]
fn a_denoiser_gets_steps_and_classes_or_embeddings() {
    let instance = create(&HOST, json!({})).unwrap();
    let mut call = Call::new();
    let (mut rows, mut t) = ([2i64], [10.0f32, 20.0]);
    let (mut classes, mut wide, mut embedding) = ([1i64, -1], [2i64, 3], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    call.input.shape = call.shape.as_mut_ptr();
    let column = DLTensor { ndim: 1, shape: rows.as_mut_ptr(), strides: null_mut(), ..call.input };
    let t = DLTensor { data: t.as_mut_ptr().cast(), ..column };
    let classes = DLTensor { data: classes.as_mut_ptr().cast(), dtype: DLDataType::I64, ..column };
    let embedding = DLTensor { data: embedding.as_mut_ptr().cast(), ndim: 2, shape: wide.as_mut_ptr(), ..column };
    let mut output = DLTensor { ndim: 4, shape: call.input.shape, ..call.output };
    let mut run = |condition| {
        let inputs = [call.input, t, condition];
        // SAFETY: three inputs and one output whose memory lives in this function.
        unsafe { table().run.unwrap()(instance, abi::OP_DENOISE, &call.exec, inputs.as_ptr(), 3, &mut output, 1) }
    };
    assert_eq!(run(classes), abi::OK, "{}", last_error(instance));
    assert_eq!(call.out, [11.0, 12.0, 13.0, 14.0, 23.0, 24.0, 25.0, 26.0]);
    assert_eq!(run(embedding), abi::OK, "{}", last_error(instance));
    assert_eq!(call.out, [16.0, 17.0, 18.0, 19.0, 39.0, 40.0, 41.0, 42.0]);
    assert_eq!(run(DLTensor { ndim: 1, ..embedding }), abi::INVALID);
    destroy(instance);
}

#[test]
fn image_gradients_take_images_and_gradients_of_logits() {
    let instance = create(&HOST, json!({})).unwrap();
    let mut call = Call::new();
    let (mut shape, mut d_logits) = ([2i64, 4], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    call.input.shape = call.shape.as_mut_ptr();
    let mut run = |rows: &mut [i64; 2], n_outputs: usize| {
        let rows = DLTensor { ndim: 2, shape: rows.as_mut_ptr(), strides: null_mut(), ..call.input };
        let inputs = [call.input, DLTensor { data: d_logits.as_mut_ptr().cast(), ..rows }];
        let mut outputs = [DLTensor { ndim: 4, shape: call.input.shape, ..call.output }; 2];
        // SAFETY: two inputs and as many outputs as counted, whose memory lives in this function.
        let code = unsafe {
            let (ins, outs) = (inputs.as_ptr(), outputs.as_mut_ptr());
            table().run.unwrap()(instance, abi::OP_VJP, &call.exec, ins, 2, outs, n_outputs)
        };
        (code, if code == abi::OK { String::new() } else { last_error(instance) })
    };
    assert_eq!(run(&mut shape, 1), (abi::OK, String::new()));
    let (code, message) = run(&mut shape, 2);
    assert_eq!((code, message.as_str()), (abi::UNSUPPORTED, "operation 3 has 1 output, the host wants 2"));
    let (code, message) = run(&mut [2, 3], 1);
    assert_eq!(code, abi::INVALID);
    assert_eq!(message, "d_logits have shape [2, 3], for 2 images they must have [2, 4]");
    assert_eq!(call.out, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]);
    destroy(instance);
}
