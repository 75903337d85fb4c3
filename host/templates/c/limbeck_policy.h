/* Between a policy in C and Limbeck: the canonical ABI of `limbeck:policy@0.1.0`, for a scorer and weigher. Include it once.
 *
 * It needs no C library. Memory from `lp_take` lasts until the end of the call; from within `init` it lasts for ever. */
#ifndef LIMBECK_POLICY_H
#define LIMBECK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What a policy works with ---- */

/* UTF-8, not ended by 0. */
typedef struct { const char *bytes; uint32_t length; } lp_text;
#define LP_LITERAL(literal) {(literal), sizeof(literal) - 1}
#define LP_TEXT(literal) ((lp_text)LP_LITERAL(literal))

/* Name, version, one line on what it does; the version of what `save` gives. */
typedef struct { lp_text name, version, summary; uint32_t state_version; } lp_info;
/* The recipe's `config` as JSON; how many classes, features and steps there are (0 where unknown). */
typedef struct { lp_text config_json; uint32_t classes, feature_dim; uint64_t total_steps; } lp_env;
/* The columns that are read, and the reasons for which a row may be dropped. */
typedef struct { const lp_text *needs; uint32_t needs_count; const lp_text *reasons; uint32_t reasons_count; } lp_setup;
/* A row that must not be kept, and the place of the reason in `lp_setup`. */
typedef struct { uint32_t row, reason; } lp_veto;
/* One number a row, the higher the sooner kept; rows that must not be kept. */
typedef struct { float *values; lp_veto *vetoes; uint32_t vetoes_count; } lp_scores;
/* A batch of images, lent for one call. */
typedef struct { uint32_t handle, rows; } lp_batch;

/* ---- What a policy must define. An error is a text; one without bytes means that all went well. ---- */

#define LP_OK ((lp_text){0, 0})

static lp_info describe(void);
static lp_text init(const lp_env *env, lp_setup *setup);
static lp_text score(const lp_batch *batch, lp_scores *scores);
/* Fills `weights`, one number a row, none negative. */
static lp_text weigh(const lp_batch *batch, float *weights);

/* ---- What a policy may call ---- */

enum lp_level { LP_DEBUG, LP_INFO, LP_WARN, LP_ERROR };

#define LP_IMPORT(module, name) __attribute__((import_module("limbeck:policy/" module "@0.1.0"), import_name(name)))
#define LP_EXPORT(name) __attribute__((export_name("limbeck:policy/" name)))
#define LP_POST(name) __attribute__((export_name("cabi_post_limbeck:policy/" name)))

LP_IMPORT("data", "[method]batch.len") extern uint32_t lp_import_len(uint32_t batch);
LP_IMPORT("data", "[method]batch.epoch") extern uint32_t lp_epoch(uint32_t batch);
LP_IMPORT("data", "[method]batch.step") extern uint64_t lp_step(uint32_t batch);
LP_IMPORT("data", "[resource-drop]batch") extern void lp_import_drop(uint32_t batch);
LP_IMPORT("data", "[method]batch.f32s")
extern void lp_import_f32s(uint32_t batch, const char *column, uint32_t length, uint32_t start, uint32_t rows, void *reply);
LP_IMPORT("data", "[method]batch.u64s")
extern void lp_import_u64s(uint32_t batch, const char *column, uint32_t length, uint32_t start, uint32_t rows, void *reply);
LP_IMPORT("host", "log") extern void lp_import_log(uint32_t level, const char *message, uint32_t length);
LP_IMPORT("host", "random") extern void lp_import_random(uint32_t count, void *reply);
LP_IMPORT("host", "metric") extern void lp_import_metric(const char *name, uint32_t length, double value);

extern unsigned char __heap_base;
static uintptr_t lp_base, lp_top;

/* Memory of this size, aligned for every type. Without room the policy ends. */
static void *lp_take(uint32_t size) {
  if (!lp_top) lp_base = lp_top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t start = lp_top;
  uint64_t end = (uint64_t)start + size + 15, held = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (end > held && __builtin_wasm_memory_grow(0, (end - held + 65535) >> 16) == (size_t)-1) __builtin_trap();
  lp_top = (uintptr_t)end & ~(uintptr_t)15;
  return (void *)start;
}

void *memcpy(void *to, const void *from, size_t size) {
  for (size_t i = 0; i < size; i++) ((char *)to)[i] = ((const char *)from)[i];
  return to;
}

void *memset(void *to, int value, size_t size) {
  for (size_t i = 0; i < size; i++) ((char *)to)[i] = (char)value;
  return to;
}

/* Writes a line into the log of the run. */
static inline void lp_log(enum lp_level level, lp_text message) { lp_import_log(level, message.bytes, message.length); }

/* A figure for the report of the run; the last value counts. */
static inline void lp_metric(lp_text name, double value) { lp_import_metric(name.bytes, name.length, value); }

/* The next random numbers: the same for the same seed of the run, policy, step and call. */
static inline uint64_t *lp_random(uint32_t count) {
  struct { uint64_t *numbers; uint32_t length; } reply;
  lp_import_random(count, &reply);
  return reply.numbers;
}

typedef struct { uint32_t failed; void *bytes; uint32_t length; } lp_reply;

static inline lp_text lp_column(lp_reply reply, const void **numbers) {
  if (reply.failed) return (lp_text){reply.bytes, reply.length};
  *numbers = reply.bytes;
  return LP_OK;
}

/* All rows of a column: rows × width numbers. */
static inline lp_text lp_f32s(const lp_batch *batch, lp_text column, const float **numbers) {
  lp_reply reply;
  lp_import_f32s(batch->handle, column.bytes, column.length, 0, batch->rows, &reply);
  return lp_column(reply, (const void **)numbers);
}

static inline lp_text lp_u64s(const lp_batch *batch, lp_text column, const uint64_t **numbers) {
  lp_reply reply;
  lp_import_u64s(batch->handle, column.bytes, column.length, 0, batch->rows, &reply);
  return lp_column(reply, (const void **)numbers);
}

/* ---- The configuration: an object of numbers ---- */

typedef struct { lp_text name; double *value; } lp_option;

static inline bool lp_same(lp_text a, lp_text b) {
  bool same = a.length == b.length;
  for (uint32_t i = 0; same && i < a.length; i++) same = a.bytes[i] == b.bytes[i];
  return same;
}

static inline lp_text lp_join(lp_text a, lp_text b) {
  char *bytes = lp_take(a.length + b.length);
  memcpy(bytes, a.bytes, a.length);
  memcpy(bytes + a.length, b.bytes, b.length);
  return (lp_text){bytes, a.length + b.length};
}

/* Reads a number at `*at`, exact where it has at most 15 digits. */
static bool lp_number(const char **at, const char *end, double *number) {
  double digits = 0, scale = 1;
  bool negative = *at < end && **at == '-', any = false, point = false;
  for (*at += negative; *at < end; ++*at) {
    char c = **at;
    if (c == '.' && !point) { point = true; continue; }
    if (c < '0' || c > '9') break;
    digits = digits * 10 + (c - '0');
    if (point) scale *= 10;
    any = true;
  }
  int exponent = 0, sign = 1;
  if (any && *at < end && (**at == 'e' || **at == 'E')) {
    if (++*at < end && (**at == '-' || **at == '+')) sign = *(*at)++ == '-' ? -1 : 1;
    for (; *at < end && **at >= '0' && **at <= '9' && exponent < 400; ++*at) exponent = exponent * 10 + (**at - '0');
  }
  double number_scale = 1;
  for (int i = 0; i < exponent; i++) number_scale *= 10;
  digits = sign < 0 ? digits / (scale * number_scale) : digits * number_scale / scale;
  *number = negative ? -digits : digits;
  return any;
}

/* Reads `{"name": number, …}` into the options; what is not there keeps its value. */
static lp_text lp_configure(lp_text json, const lp_option *options, uint32_t count) {
  const char *at = json.bytes, *end = json.bytes + json.length;
#define LP_SKIP while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r' || *at == ',')) at++
  for (at++;;) {
    LP_SKIP;
    if (at >= end || *at != '"') return LP_OK;
    lp_text name = {++at, 0};
    while (at < end && *at != '"') at++, name.length++;
    at++;
    LP_SKIP;
    at++;
    LP_SKIP;
    uint32_t option = 0;
    while (option < count && !lp_same(options[option].name, name)) option++;
    if (option == count) return lp_join(LP_TEXT("config: unknown field "), name);
    if (!lp_number(&at, end, options[option].value)) return lp_join(name, LP_TEXT(" is not a number"));
  }
#undef LP_SKIP
}

/* ---- The canonical ABI ---- */

__attribute__((export_name("cabi_realloc"))) void *lp_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  (void)align;
  void *new = lp_take(size);
  return old_size ? memcpy(new, old, old_size < size ? old_size : size) : new;
}

/* A result<…, string>: 0 and what was given, or 1 and a text. */
typedef struct { uint32_t failed; union { lp_text error; lp_setup setup; struct { const void *items; uint32_t count; } list[2]; }; } lp_result;

static lp_result lp_returned;

static inline lp_result *lp_end(lp_text error) {
  lp_returned.failed = error.bytes != 0;
  if (error.bytes) lp_returned.error = error;
  return &lp_returned;
}

/* Called when the host has read a reply. */
static inline void lp_forget(void) { lp_top = lp_base; }

LP_EXPORT("lifecycle@0.1.0#describe") lp_info *lp_export_describe(void) {
  static lp_info info;
  info = describe();
  return &info;
}
LP_POST("lifecycle@0.1.0#describe") void lp_post_describe(void *reply) { (void)reply; lp_forget(); }

LP_EXPORT("lifecycle@0.1.0#init")
lp_result *lp_export_init(const char *json, uint32_t length, uint32_t classes, uint32_t feature_dim, uint64_t total_steps) {
  lp_env env = {{json, length}, classes, feature_dim, total_steps};
  lp_setup setup = {0};
  lp_text error = init(&env, &setup);
  lp_returned.setup = setup;
  return lp_end(error);
}
LP_POST("lifecycle@0.1.0#init") void lp_post_init(void *reply) { (void)reply; lp_base = lp_top; }

/* This policy keeps nothing between calls: it has nothing to save. */
LP_EXPORT("lifecycle@0.1.0#epoch-end") lp_result *lp_export_epoch_end(uint32_t epoch, const char *stats, uint32_t length) {
  (void)epoch, (void)stats, (void)length;
  return lp_end(LP_OK);
}
LP_POST("lifecycle@0.1.0#epoch-end") void lp_post_epoch_end(void *reply) { (void)reply; lp_forget(); }

LP_EXPORT("lifecycle@0.1.0#save") lp_result *lp_export_save(void) {
  lp_returned.list[0].items = &lp_returned, lp_returned.list[0].count = 0;
  return lp_end(LP_OK);
}
LP_POST("lifecycle@0.1.0#save") void lp_post_save(void *reply) { (void)reply; lp_forget(); }

LP_EXPORT("lifecycle@0.1.0#restore") lp_result *lp_export_restore(uint32_t version, const void *state, uint32_t length) {
  (void)version, (void)state;
  return lp_end(length ? LP_TEXT("this policy keeps no state, yet is given some") : LP_OK);
}
LP_POST("lifecycle@0.1.0#restore") void lp_post_restore(void *reply) { (void)reply; lp_forget(); }

LP_EXPORT("scorer@0.1.0#score") lp_result *lp_export_score(uint32_t handle) {
  lp_batch batch = {handle, lp_import_len(handle)};
  lp_scores scores = {0};
  lp_text error = score(&batch, &scores);
  lp_returned.list[0].items = scores.values, lp_returned.list[0].count = batch.rows;
  lp_returned.list[1].items = scores.vetoes, lp_returned.list[1].count = scores.vetoes_count;
  lp_import_drop(handle);
  return lp_end(error);
}
LP_POST("scorer@0.1.0#score") void lp_post_score(void *reply) { (void)reply; lp_forget(); }

LP_EXPORT("weigher@0.1.0#weigh") lp_result *lp_export_weigh(uint32_t handle) {
  lp_batch batch = {handle, lp_import_len(handle)};
  float *weights = lp_take(batch.rows * sizeof *weights);
  lp_text error = weigh(&batch, weights);
  lp_returned.list[0].items = weights, lp_returned.list[0].count = batch.rows;
  lp_import_drop(handle);
  return lp_end(error);
}
LP_POST("weigher@0.1.0#weigh") void lp_post_weigh(void *reply) { (void)reply; lp_forget(); }

#endif
