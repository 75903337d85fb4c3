/* A complete teacher in plain C: the network `mlp` (images, one hidden layer with ReLU, classes) from the safetensors
 * file that `limbeck train classifier` writes. Needs limbeck_backend.h and POSIX libc:
 *     cc -shared -fPIC -O3 -I plugin-api/backend/include -o libc_mlp.so plugins/c-mlp/mlp.c
 */
#define _POSIX_C_SOURCE 200809L /* strndup */
#include <limbeck_backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  size_t pixels, hidden, classes;
  float mean, std;
  float *w1, *b1, *w2, *b2; /* w1 [pixels, hidden], w2 [hidden, classes]: transposed, so that loops run along rows */
  char describe[256];
} mlp;

static _Thread_local char error[4608];
#define FAIL(code, ...) return snprintf(error, sizeof error, __VA_ARGS__), (code)
static limbeck_str str(const char *text) { return (limbeck_str){text, strlen(text)}; }

/* Reads `"weights": "path"` of the config, as long as the path needs no escapes. */
static int weights_path(limbeck_str config, char *path, size_t capacity) {
  char *text = strndup(config.ptr, config.len), *at = text ? strstr(text, "\"weights\"") : NULL;
  if (at) at = strchr(at + strlen("\"weights\""), '"');
  size_t length = at ? strcspn(++at, "\"\\") : 0;
  int found = length > 0 && length < capacity && at[length] == '"';
  if (found) memcpy(path, at, length), path[length] = 0;
  return free(text), found;
}

/* A number of the metadata, which is JSON within a JSON string: mean\":\"0.1307\" or mean\":\"[0.1307]\". */
static int metadata_number(const char *header, const char *key, float *number) {
  char *at = strstr(header, key), *end;
  if (!at) return 0;
  at += strlen(key), at += strspn(at, " :\\\"[");
  *number = strtof(at, &end);
  return end != at;
}

/* A copy of tensor `name`, f32 [rows, columns], transposed; a vector has one column. NULL if it isn't there. */
static float *tensor(const char *header, const char *data, size_t bytes, const char *name, size_t *rows, size_t *cols) {
  char key[64], object[256], type[8];
  unsigned long long r = 0, c = 1, from = 0, to = 0;
  const char *at = (snprintf(key, sizeof key, "\"%s\"", name), strstr(header, key)), *shape, *range;
  if (!at || sscanf(at + strlen(key), " : {%255[^}]", object) != 1 || !(at = strstr(object, "\"dtype\"")) ||
      !(shape = strstr(object, "\"shape\"")) || !(range = strstr(object, "\"data_offsets\""))) return NULL;
  if (sscanf(at + 7, " : \"%7[^\"]", type) != 1 || strcmp(type, "F32") || /* a blank stands for any number of them */
      sscanf(shape + 7, " : [%llu ,%llu", &r, &c) < 1 || sscanf(range + 14, " : [%llu ,%llu", &from, &to) != 2) return NULL;
  if (!r || !c || r > 1 << 20 || c > 1 << 20 || to > bytes || from > to || to - from != 4 * r * c) return NULL;
  float *copy = malloc(to - from);
  for (size_t i = 0; copy && i < r * c; i++) memcpy(&copy[i % c * r + i / c], data + from + 4 * i, 4);
  return *rows = r, *cols = c, copy;
}

static int parse(mlp *m, const char *path, const char *file, size_t bytes) {
  uint64_t length = 0;
  size_t rows[4], cols[4], side = 1;
  if (bytes < 8 || (memcpy(&length, file, 8), length > bytes - 8)) FAIL(LIMBECK_FAILED, "`%s` is not a safetensors file", path);
  const char *data = file + 8 + length;
  char *header = strndup(file + 8, length);
  if (!header) FAIL(LIMBECK_FAILED, "out of memory");
  const char *names[4] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
  float **to[4] = {&m->w1, &m->b1, &m->w2, &m->b2};
  int good = metadata_number(header, "mean\\\"", &m->mean) && metadata_number(header, "std\\\"", &m->std) && m->std > 0;
  for (int i = 0; i < 4; i++) good &= !!(*to[i] = tensor(header, data, bytes - 8 - length, names[i], &rows[i], &cols[i]));
  free(header);
  if (!good) FAIL(LIMBECK_FAILED, "`%s` is no f32 checkpoint of the network `mlp` with mean and std", path);
  for (size_t i = 0, j = 0; i < 4; i++, j = 0)
    while (j < rows[i] * cols[i]) /* a finite number times 0 is 0 */
      if ((*to[i])[j++] * 0 != 0) FAIL(LIMBECK_FAILED, "`%s` holds NaN or an infinity in `%s`", path, names[i]);
  m->pixels = cols[0], m->hidden = rows[0], m->classes = rows[2];
  while (side * side < m->pixels) side++;
  if (side * side != m->pixels || rows[1] != m->hidden || cols[2] != m->hidden || rows[3] != m->classes)
    FAIL(LIMBECK_FAILED, "`%s`: the layers don't fit each other or square grey images", path);
  snprintf(m->describe, sizeof m->describe,
           "{\"classes\":%zu,\"features\":%zu,\"network\":\"mlp\",\"input\":{\"channels\":1,\"height\":%zu,\"width\":%zu}}",
           m->classes, m->hidden, side, side);
  return LIMBECK_OK;
}

static void destroy(void *instance) {
  mlp *m = instance;
  free(m->w1), free(m->b1), free(m->w2), free(m->b2), free(m);
}

static int create(const limbeck_host *host, limbeck_str config, void **instance) {
  char path[4096], *file = ((void)host, NULL); /* one thread, no log */
  if (!weights_path(config, path, sizeof path))
    FAIL(LIMBECK_FAILED, "it needs weights: name a file as `weights`, such as FILE.safetensors (no quotes or backslashes)");
  FILE *stream = fopen(path, "rb");
  if (!stream) FAIL(LIMBECK_FAILED, "can't open `%s`", path);
  mlp *m = calloc(1, sizeof *m);
  long bytes = fseek(stream, 0, SEEK_END) ? 0 : ftell(stream), code = LIMBECK_FAILED;
  if (bytes > 0) rewind(stream), file = malloc(bytes);
  if (m && file && fread(file, 1, bytes, stream) == (size_t)bytes) code = parse(m, path, file, bytes);
  else snprintf(error, sizeof error, "can't read `%s`", path);
  fclose(stream), free(file);
  if (code == LIMBECK_OK) *instance = m;
  else if (m) destroy(m);
  return code;
}

static int describe(void *instance, limbeck_str *json) { return *json = str(((mlp *)instance)->describe), LIMBECK_OK; }

static int shapes(void *instance, uint32_t op, const DLTensor *in, size_t n_in, limbeck_shape *out, size_t n_out) {
  mlp *m = instance;
  if (op != LIMBECK_OP_CLASSIFY || n_in != 1 || n_out < 1 || n_out > 2) FAIL(LIMBECK_UNSUPPORTED, "it only classifies");
  if (in->ndim != 4 || (size_t)(in->shape[1] * in->shape[2] * in->shape[3]) != m->pixels)
    FAIL(LIMBECK_UNSUPPORTED, "images must have %zu pixels", m->pixels);
  for (size_t i = 0; i < n_out; i++)
    out[i] = (limbeck_shape){2, {kDLFloat, 32, 1}, {in->shape[0], i ? m->hidden : m->classes}};
  return LIMBECK_OK;
}

static float *floats(const DLTensor *t) { return (float *)((char *)t->data + t->byte_offset); }
/* y[j] = b[j] + sum of x[i] * w[i][j] */
static void layer(const float *x, size_t n, const float *w, const float *b, float *restrict y, size_t m) {
  memcpy(y, b, m * sizeof *y);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < m; j++) y[j] += x[i] * w[i * m + j];
}

static int run(void *instance, uint32_t op, const limbeck_exec *exec, const DLTensor *in, size_t n_in, DLTensor *out,
               size_t n_out) {
  mlp *m = ((void)exec, (void)op, (void)n_in, instance); /* the host asked `shapes` with the same before */
  float *x = malloc((m->pixels + m->hidden) * sizeof *x);
  if (!x) FAIL(LIMBECK_FAILED, "out of memory");
  float *hidden = x + m->pixels;
  for (int64_t row = 0; row < in->shape[0]; row++) {
    const float *image = floats(in) + row * m->pixels;
    for (size_t i = 0; i < m->pixels; i++) x[i] = (image[i] - m->mean) / m->std;
    layer(x, m->pixels, m->w1, m->b1, hidden, m->hidden);
    for (size_t j = 0; j < m->hidden; j++) hidden[j] = hidden[j] < 0 ? 0 : hidden[j]; /* NaN stays */
    layer(hidden, m->hidden, m->w2, m->b2, floats(out) + row * m->classes, m->classes);
    if (n_out == 2) memcpy(floats(out + 1) + row * m->hidden, hidden, m->hidden * sizeof *hidden);
  }
  return free(x), LIMBECK_OK;
}

static limbeck_str last_error(void *instance) { return (void)instance, str(error); }
int32_t limbeck_backend_query_v1(uint32_t host_minor, const limbeck_backend **out) {
  static const char manifest[] =
      "{\"name\":\"c-mlp\",\"version\":\"1.0.0\",\"licence\":\"MIT OR Apache-2.0\",\"operations\":[\"classify\"],"
      "\"devices\":[\"cpu\"],\"dtypes\":[\"f32\"],\"threads\":\"concurrent\",\"deterministic\":true}";
  static const limbeck_backend table = {sizeof table, LIMBECK_ABI_MINOR, {manifest, sizeof manifest - 1},
                                        create, destroy, describe, shapes, run, last_error};
  return (void)host_minor, *out = &table, LIMBECK_OK;
}
