/* limbeck_backend.h: what a Limbeck plugin in C or C++ implements. ABI version 1.0.
 *
 * A plugin is a shared library that exports one function, limbeck_backend_query_v1, and through it a table of functions.
 * Structs only ever grow at their end; struct_size says how much of one its maker knew. All strings are UTF-8 with a
 * length, without a closing NUL. `limbeck backend inspect FILE` and `limbeck backend check FILE` tell what the host sees.
 */
#ifndef LIMBECK_BACKEND_H
#define LIMBECK_BACKEND_H

#include <stddef.h>
#include <stdint.h>

/* ---- tensors: the part of DLPack 1.x that is used here, unless the official header came first ---- */
#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
typedef enum { kDLCPU = 1, kDLCUDA = 2 } DLDeviceType;
typedef struct { DLDeviceType device_type; int32_t device_id; } DLDevice;
typedef enum { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4 } DLDataTypeCode;
typedef struct { uint8_t code; uint8_t bits; uint16_t lanes; } DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements */
  uint64_t byte_offset;
} DLTensor;
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LIMBECK_ABI_MAJOR 1
#define LIMBECK_ABI_MINOR 0
#define LIMBECK_MAX_DIMS 8

/* What every function with an int result returns. After anything but LIMBECK_OK the host asks last_error. */
enum {
  LIMBECK_OK = 0,
  LIMBECK_FAILED = 1,
  LIMBECK_UNSUPPORTED = 2, /* no such operation, input size or number of outputs */
  LIMBECK_INVALID = 3,     /* the host broke a promise of this header */
  LIMBECK_CANCELLED = 4,   /* limbeck_host.cancelled said so */
  LIMBECK_POISONED = 5     /* a panic or exception, now or earlier: the instance is only good for destroy */
};

/* Operations. Every tensor is compact, row-major and on the device of limbeck_exec.
 *   CLASSIFY  in  images f32 [n, channels, height, width], values 0..1 (the plugin normalises)
 *             out logits f32 [n, classes], then, if two are asked for, features f32 [n, features]
 *   DENOISE   in  x_t f32 [n, channels, height, width]; t f32 [n], the diffusion step, 0..steps-1;
 *                 condition: i64 [n], a class or -1 for none, or f32 [n, width], an embedding
 *             out epsilon f32 like x_t, then, if two are asked for, the raw variance output f32 like x_t
 *   VJP       in  images as for CLASSIFY; d_logits f32 [n, classes]
 *             out d_images f32 like images */
enum { LIMBECK_OP_CLASSIFY = 1, LIMBECK_OP_DENOISE = 2, LIMBECK_OP_VJP = 3 };

/* Levels of log. A run shows its user errors and warnings, each line once; `limbeck backend check` shows all levels. */
enum { LIMBECK_LOG_ERROR = 1, LIMBECK_LOG_WARN = 2, LIMBECK_LOG_INFO = 3, LIMBECK_LOG_DEBUG = 4 };

typedef struct { const char *ptr; size_t len; } limbeck_str;

/* What the host offers. Valid from create until destroy returns; log and cancelled may be called from any thread. */
typedef struct {
  uint32_t struct_size;
  uint32_t abi_minor;
  void *ctx; /* to be passed to log and cancelled */
  void (*log)(void *ctx, int level, limbeck_str message);
  int (*cancelled)(void *ctx);  /* not 0: give up soon with LIMBECK_CANCELLED */
  limbeck_str plugin_dir;       /* absolute: the folder of the file that the recipe named */
  uint32_t max_threads;         /* at least 1: how many threads the instance may keep busy */
  uint32_t reserved;            /* 0 */
  DLDevice device;              /* where the tensors of every run of this instance will be */
} limbeck_host;

/* How to execute one run. On CUDA the work goes onto `stream` (a CUstream or cudaStream_t of the device's primary context,
 * never one of the special handles 0, 1 and 2), or between what is on it before and after the call; run returns without
 * synchronising the device. On the CPU `stream` is NULL. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  DLDevice device;
  void *stream;
  uint64_t flags; /* 0 */
} limbeck_exec;

typedef struct {
  int32_t ndim;
  DLDataType dtype;
  int64_t dims[LIMBECK_MAX_DIMS];
} limbeck_shape;

/* The table of a plugin. It and all it points to stay valid until the process ends: plugins are never unloaded.
 *
 * manifest_json, one object:
 *   name, version, licence      strings
 *   operations                  ["classify", "denoise", "vjp"]
 *   devices                     ["cpu", "cuda"]
 *   dtypes                      ["f32"]
 *   threads                     "single"      every call of an instance, destroy too, from one and the same thread
 *                               "serial"      from any thread, one call at a time
 *                               "concurrent"  from any threads at once
 *   deterministic               true: the same input gives the same bytes, whatever else is in the batch's process
 *   classes, input, features    as below; null or missing when only the instance knows, all others are required
 * describe gives one object about an instance, with at least
 *   classes                     a number (classify)
 *   input                       {"channels": c, "height": h, "width": w}
 *   features                    the width of the features, or null when the instance has none
 *   network                     a name for the report, optional */
typedef struct {
  uint32_t struct_size;
  uint32_t abi_minor;
  limbeck_str manifest_json;
  /* config_json: the recipe's `config` table with `weights` (an absolute path) added when the recipe names weights. */
  int (*create)(const limbeck_host *host, limbeck_str config_json, void **instance);
  /* Called once, after the last call returned. Not called when create failed. */
  void (*destroy)(void *instance);
  /* The string stays valid until destroy. */
  int (*describe)(void *instance, limbeck_str *json);
  /* The shapes of the outputs for these inputs (whose `data` may be NULL here). */
  int (*shapes)(void *instance, uint32_t op, const DLTensor *in, size_t n_in, limbeck_shape *out, size_t n_out);
  /* The host allocates the outputs by `shapes`; tensors and their memory are only valid during the call, memory on CUDA
   * until `stream` has passed what the call put onto it. */
  int (*run)(void *instance, uint32_t op, const limbeck_exec *exec, const DLTensor *in, size_t n_in, DLTensor *out,
             size_t n_out);
  /* Why the last failing call on this thread failed; valid until this thread calls the plugin again. After a failed
   * create, `instance` is NULL. An empty string when there is nothing to say. */
  limbeck_str (*last_error)(void *instance);
} limbeck_backend;

#if defined(_WIN32)
#define LIMBECK_EXPORT __declspec(dllexport)
#else
#define LIMBECK_EXPORT __attribute__((visibility("default")))
#endif

/* The one exported symbol. Sets *out and returns LIMBECK_OK, or returns LIMBECK_UNSUPPORTED when it needs a newer
 * host than 1.host_minor. May be called more than once. */
LIMBECK_EXPORT int32_t limbeck_backend_query_v1(uint32_t host_minor, const limbeck_backend **out);

#ifdef __cplusplus
}
#endif

#endif
