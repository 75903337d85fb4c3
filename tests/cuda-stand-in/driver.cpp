// A stand-in for the CUDA driver, cuBLAS and cuRAND on machines without a GPU. Memory is the processor's, kernels are candle's own,
// compiled for the processor (build.py), and matrix products are three loops.
//
// A stream is a queue that nobody works off until someone must wait for it: who forgets to order two streams reads what is not
// there yet. Memory is 0xab until it is written and 0xcd once it is freed, and whatever is outside of all memory ends the program.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "kernels.h"
#include "shim.h"

thread_local Dim3 blockIdx, threadIdx, blockDim, gridDim;

#define EXPORT extern "C" __attribute__((visibility("default")))
typedef unsigned long long Address;
enum { OK = 0, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500 };

namespace {

std::recursive_mutex everything;
typedef std::lock_guard<std::recursive_mutex> Lock;

[[noreturn]] void stop(const std::string &why) {
  fprintf(stderr, "CUDA stand-in: %s\n", why.c_str());
  abort();
}

struct Stream {
  std::deque<std::function<void()>> waiting;
  unsigned long put = 0, done = 0;
  bool destroyed = false;
};

struct Event {
  Stream *stream = nullptr;
  unsigned long count = 0;
};

std::set<Stream *> streams;
std::map<Address, size_t> memory;
int the_context;
thread_local void *current = nullptr;

void work_off(Stream *stream, unsigned long count) {
  while (stream->done < count) {
    auto next = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    next();
    stream->done++;
  }
}

Stream *stream_of(void *handle) {
  // The default stream of each thread, which tests of operations use; one will do.
  static Stream per_thread;
  if (handle == (void *)2) return &per_thread;
  if ((size_t)handle < 3) stop("the default stream was used");
  auto stream = (Stream *)handle;
  if (stream->destroyed) stop("a destroyed stream was used");
  return stream;
}

void put(void *handle, std::function<void()> work) {
  if (!current) stop("work without a current context");
  auto stream = stream_of(handle);
  stream->waiting.push_back(std::move(work));
  stream->put++;
}

/// Ends the program unless the bytes lie in one piece of living memory.
void require(const char *what, Address at, size_t bytes) {
  if (bytes == 0) return;
  auto next = memory.upper_bound(at);
  if (next == memory.begin() || at + bytes > std::prev(next)->first + std::prev(next)->second)
    stop(std::string(what) + " of " + std::to_string(bytes) + " bytes outside of all memory");
}

void give_back(Address at) {
  auto found = memory.find(at);
  if (found == memory.end()) stop("memory was freed that is not there");
  memset((void *)at, 0xcd, found->second);
  free((void *)at);
  memory.erase(found);
}

/// Where element `i` of a strided tensor is; `info` has its dimensions, then its strides.
size_t strided(size_t i, size_t rank, const size_t *info) {
  size_t at = 0;
  for (size_t axis = rank; axis-- > 0; i /= info[axis]) at += i % info[axis] * info[rank + axis];
  return at;
}

float of_half(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  float size = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent     ? ldexpf(1024 + fraction, exponent - 25)
                              : ldexpf(fraction, -24);
  return half >> 15 ? -size : size;
}

uint16_t to_half(float value) {
  float size = fabsf(value);
  uint16_t sign = std::signbit(value) << 15;
  if (isnan(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < ldexpf(1, -14)) return sign | (uint16_t)nearbyintf(ldexpf(size, 24));
  int exponent;
  frexpf(size, &exponent);
  return sign | (((exponent + 14) << 10) + (int)nearbyintf(ldexpf(size, 11 - exponent)) - 1024);
}

/// The only kernels of half precision that Limbeck needs: weights are kept in it.
void cast_f32_f16(void **argument) {
  auto total = *(size_t *)argument[0], rank = *(size_t *)argument[1];
  auto info = *(const size_t **)argument[2];
  auto from = *(const float **)argument[3];
  auto to = *(uint16_t **)argument[4];
  for (size_t i = 0; i < total; i++) to[i] = to_half(from[info ? strided(i, rank, info) : i]);
}

void cast_f16_f32(void **argument) {
  auto total = *(size_t *)argument[0], rank = *(size_t *)argument[1];
  auto info = *(const size_t **)argument[2];
  auto from = *(const uint16_t **)argument[3];
  auto to = *(float **)argument[4];
  for (size_t i = 0; i < total; i++) to[i] = of_half(from[info ? strided(i, rank, info) : i]);
}

/// The sum kernel of f32 hands values from thread to thread, which one thread at a time can't.
void sum_f32(void **argument, unsigned outputs) {
  auto total = *(size_t *)argument[0], each = *(size_t *)argument[1], rank = *(size_t *)argument[2];
  auto info = *(const size_t **)argument[3];
  auto from = *(const float **)argument[4];
  auto to = *(float **)argument[5];
  for (size_t output = 0; output < outputs; output++) {
    double sum = 0;
    for (size_t i = output * each; i < min((output + 1) * each, total); i++) sum += from[strided(i, rank, info)];
    to[output] = sum;
  }
}

void launch(const std::string &name, void (*kernel)(void **), void **arguments, unsigned grid, unsigned block) {
  auto has = [&](const char *part) { return name.find(part) != std::string::npos; };
  if (name == "fast_sum_f32") return sum_f32(arguments, grid);
  bool each_thread = has("copy2d") || has("im2col") || has("conv") || has("pool2d") || has("upsample") || has("small");
  // Reductions are right with one thread in each block; all others go in strides over the grid, so one thread does all.
  gridDim = {each_thread || has("fast_") ? grid : 1, 1, 1};
  blockDim = {each_thread ? block : 1, 1, 1};
  for (unsigned b = 0; b < gridDim.x; b++)
    for (unsigned t = 0; t < blockDim.x; t++) {
      blockIdx = {b, 0, 0};
      threadIdx = {t, 0, 0};
      kernel(arguments);
    }
}

}  // namespace

EXPORT int cuInit(unsigned) { return OK; }
EXPORT int cuDriverGetVersion(int *version) { return *version = 13000, OK; }
EXPORT int cuDeviceGet(int *device, int number) { return *device = 0, number == 0 ? OK : INVALID_DEVICE; }
EXPORT int cuDeviceGetCount(int *count) { return *count = 1, OK; }
EXPORT int cuDeviceGetAttribute(int *value, int, int) { return *value = 1, OK; }
EXPORT int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &the_context, OK; }
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
EXPORT int cuCtxGetCurrent(void **context) { return *context = current, OK; }
EXPORT int cuCtxSetCurrent(void *context) { return current = context, OK; }
EXPORT int cuCtxDestroy_v2(void *) { stop("a context was destroyed: the primary one is only released"); }

EXPORT int cuCtxSynchronize() {
  Lock lock(everything);
  for (auto stream : std::set<Stream *>(streams)) work_off(stream, stream->put);
  return OK;
}

EXPORT int cuStreamCreate(void **handle, unsigned) {
  Lock lock(everything);
  auto stream = new Stream;
  streams.insert(stream);
  return *handle = stream, OK;
}

EXPORT int cuStreamDestroy_v2(void *handle) {
  Lock lock(everything);
  auto stream = stream_of(handle);
  work_off(stream, stream->put);
  stream->destroyed = true;
  streams.erase(stream);
  return OK;
}

EXPORT int cuStreamSynchronize(void *handle) {
  Lock lock(everything);
  work_off(stream_of(handle), stream_of(handle)->put);
  return OK;
}

EXPORT int cuStreamIsCapturing(void *, int *status) { return *status = 0, OK; }

EXPORT int cuStreamWaitEvent(void *handle, void *event, unsigned) {
  Lock lock(everything);
  auto recorded = *(Event *)event;
  if (recorded.stream && recorded.stream != handle) put(handle, [=] { work_off(recorded.stream, recorded.count); });
  return OK;
}

EXPORT int cuEventCreate(void **event, unsigned) { return *event = new Event, OK; }

EXPORT int cuEventDestroy_v2(void *event) {
  Lock lock(everything);
  delete (Event *)event;
  return OK;
}

EXPORT int cuEventRecord(void *event, void *handle) {
  Lock lock(everything);
  *(Event *)event = {stream_of(handle), stream_of(handle)->put};
  return OK;
}

EXPORT int cuEventSynchronize(void *event) {
  Lock lock(everything);
  auto recorded = *(Event *)event;
  if (recorded.stream) work_off(recorded.stream, recorded.count);
  return OK;
}

EXPORT int cuMemAlloc_v2(Address *at, size_t bytes) {
  Lock lock(everything);
  if (!current) stop("memory without a current context");
  void *found = nullptr;
  if (posix_memalign(&found, 256, bytes + 256)) return OUT_OF_MEMORY;
  memset(found, 0xab, bytes);
  memory[(Address)found] = bytes;
  return *at = (Address)found, OK;
}

EXPORT int cuMemAllocAsync(Address *at, size_t bytes, void *) { return cuMemAlloc_v2(at, bytes); }

EXPORT int cuMemFreeAsync(Address at, void *stream) {
  Lock lock(everything);
  put(stream, [=] { give_back(at); });
  return OK;
}

EXPORT int cuMemFree_v2(Address at) {
  Lock lock(everything);
  cuCtxSynchronize();
  give_back(at);
  return OK;
}

EXPORT int cuMemGetInfo_v2(size_t *left, size_t *all) { return *left = *all = 1ul << 34, OK; }

EXPORT int cuMemsetD8Async(Address at, unsigned char value, size_t bytes, void *stream) {
  Lock lock(everything);
  put(stream, [=] {
    require("setting", at, bytes);
    memset((void *)at, value, bytes);
  });
  return OK;
}

EXPORT int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
  Lock lock(everything);
  // As for memory that is not pinned: it is free again when the call returns.
  std::vector<char> content((const char *)from, (const char *)from + bytes);
  put(stream, [to, content = std::move(content)] {
    require("a copy to the device", to, content.size());
    memcpy((void *)to, content.data(), content.size());
  });
  return OK;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
  Lock lock(everything);
  cuStreamSynchronize(stream);
  require("a copy from the device", from, bytes);
  memcpy(to, (void *)from, bytes);
  return OK;
}

EXPORT int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void *stream) {
  Lock lock(everything);
  put(stream, [=] {
    require("a copy within the device, its source,", from, bytes);
    require("a copy within the device, its target,", to, bytes);
    memmove((void *)to, (void *)from, bytes);
  });
  return OK;
}

EXPORT int cuMemcpyPeerAsync(Address to, void *, Address from, void *, size_t bytes, void *stream) {
  return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}

EXPORT int cuModuleLoadData(void **module, const void *ptx) { return *module = new std::string((const char *)ptx), OK; }
EXPORT int cuModuleLoad(void **, const char *) { return NOT_FOUND; }
EXPORT int cuModuleUnload(void *) { return OK; }

/// A kernel must be in the PTX, which is what a GPU would look at, and among those that were compiled.
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
  static const auto all = [] {
    auto all = kernels();
    all["cast_f16_f32"] = {cast_f16_f32, {8, 8, 8, 8, 8}};
    all["cast_f32_f16"] = {cast_f32_f16, {8, 8, 8, 8, 8}};
    return all;
  }();
  auto found = all.find(name);
  if (((std::string *)module)->find(".entry " + std::string(name) + "(") == std::string::npos) return NOT_FOUND;
  if (found == all.end()) stop("kernel `" + std::string(name) + "` is not compiled for the processor");
  return *function = (void *)&*found, OK;
}

EXPORT int cuLaunchKernel(void *function, unsigned grid, unsigned grid_y, unsigned grid_z, unsigned block, unsigned block_y,
                          unsigned block_z, unsigned, void *stream, void **arguments, void **) {
  Lock lock(everything);
  auto &[name, kernel] = *(const std::pair<const std::string, Kernel> *)function;
  if (grid_y * grid_z * block_y * block_z != 1) stop("kernel `" + name + "` has more than one dimension");
  std::vector<std::vector<char>> copies;
  for (size_t i = 0; i < kernel.sizes.size(); i++)
    copies.emplace_back((char *)arguments[i], (char *)arguments[i] + kernel.sizes[i]);
  put(stream, [name = name, call = kernel.call, copies, grid, block]() mutable {
    std::vector<void *> pointers;
    for (auto &copy : copies) pointers.push_back(copy.data());
    launch(name, call, pointers.data(), grid, block);
  });
  return OK;
}

EXPORT int cuGetErrorName(int, const char **text) { return *text = "CUDA_STAND_IN", OK; }
EXPORT int cuGetErrorString(int, const char **text) { return *text = "the stand-in refused", OK; }

/// cuBLAS: column-major, `c = alpha · a · b + beta · c` for each of a batch.
template <typename T> struct Product {
  bool turned_a, turned_b;
  int m, n, k;
  T alpha, beta;
  const T *a, *b;
  T *c;
  long lda, ldb, ldc, step_a, step_b, step_c;
  int batch;

  void run() const {
    require("a product", (Address)c, ((batch - 1) * step_c + (n - 1) * ldc + m) * sizeof(T));
    for (int item = 0; item < batch; item++)
      for (long j = 0; j < n; j++)
        for (long i = 0; i < m; i++) {
          const T *left = a + item * step_a, *right = b + item * step_b;
          double sum = 0;
          for (long l = 0; l < k; l++)
            sum += (double)left[turned_a ? l + i * lda : i + l * lda] * right[turned_b ? j + l * ldb : l + j * ldb];
          T &to = c[item * step_c + j * ldc + i];
          to = alpha * sum + (beta == 0 ? 0 : beta * to);
        }
  }
};

EXPORT int cublasCreate_v2(void **handle) { return *handle = new void *(nullptr), OK; }
EXPORT int cublasDestroy_v2(void *handle) { return delete (void **)handle, OK; }
EXPORT int cublasSetStream_v2(void *handle, void *stream) { return *(void **)handle = stream, OK; }

EXPORT int cublasDgemmStridedBatched(void *handle, int ta, int tb, int m, int n, int k, const double *alpha, const double *a, int lda,
                                     long long step_a, const double *b, int ldb, long long step_b, const double *beta, double *c,
                                     int ldc, long long step_c, int batch) {
  Lock lock(everything);
  Product<double> product{ta != 0, tb != 0, m, n, k, *alpha, *beta, a, b, c, lda, ldb, ldc, step_a, step_b, step_c, batch};
  put(*(void **)handle, [product] { product.run(); });
  return OK;
}

EXPORT int cublasGemmStridedBatchedEx(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int type,
                                      int lda, long long step_a, const void *b, int, int ldb, long long step_b, const void *beta,
                                      void *c, int, int ldc, long long step_c, int batch, int, int) {
  Lock lock(everything);
  if (type != 0) stop("a product of a type other than f32");
  Product<float> product{ta != 0, tb != 0, m, n, k, *(float *)alpha, *(float *)beta, (float *)a, (float *)b, (float *)c,
                         lda, ldb, ldc, step_a, step_b, step_c, batch};
  put(*(void **)handle, [product] { product.run(); });
  return OK;
}

EXPORT int curandCreateGenerator(void **generator, int) { return *generator = new int, OK; }
EXPORT int curandDestroyGenerator(void *generator) { return delete (int *)generator, OK; }
EXPORT int curandSetStream(void *, void *) { return OK; }
EXPORT int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return OK; }
