/* A plugin that grades every 1x2x2 image [VALUE, 0, 0]. The tests replace the body of each function by -D. */
#include <limbeck_backend.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef VALUE
#define VALUE 1.0f
#endif
#ifndef THREADS
#define THREADS "\"concurrent\""
#endif
#ifndef MANIFEST
#define MANIFEST                                                                                                       \
  "{\"name\":\"hostile\",\"version\":\"1\",\"licence\":\"none\",\"operations\":[\"classify\"],\"devices\":[\"cpu\"],"  \
  "\"dtypes\":[\"f32\"],\"deterministic\":true,\"threads\":" THREADS "}"
#endif
#ifndef DESCRIPTION
#define DESCRIPTION "{\"classes\":3,\"input\":{\"channels\":1,\"height\":2,\"width\":2}}"
#endif
#ifndef CREATE
#define CREATE
#endif
#ifndef DESCRIBE
#define DESCRIBE
#endif
#ifndef SHAPES
#define SHAPES
#endif
#ifndef RUN
#define RUN
#endif
#ifndef RAN
#define RAN
#endif
#ifndef DESTROY
#define DESTROY
#endif
#ifndef LAST_ERROR
#define LAST_ERROR return str(message);
#endif
#ifndef TABLE
#define TABLE
#endif
#ifndef QUERY
#define QUERY
#endif
#ifndef NAME
#define NAME limbeck_backend_query_v1
#endif

#define SAY(text) (message = text)

static const char *message = "";
static pthread_t owner;
static int inside, dead;

static limbeck_str str(const char *text) { return (limbeck_str){text, strlen(text)}; }

static int create(const limbeck_host *host, limbeck_str config, void **instance) {
  (void)host, (void)config, owner = pthread_self();
  CREATE;
  return *instance = &dead, LIMBECK_OK;
}

static void destroy(void *instance) {
  (void)instance, dead++;
  DESTROY;
}

static int describe(void *instance, limbeck_str *json) {
  (void)instance, *json = str(DESCRIPTION);
  DESCRIBE;
  return LIMBECK_OK;
}

static int shapes(void *instance, uint32_t op, const DLTensor *in, size_t n_in, limbeck_shape *out, size_t n_out) {
  (void)instance, (void)op, (void)n_in, (void)n_out;
  *out = (limbeck_shape){2, {kDLFloat, 32, 1}, {in->shape[0], 3}};
  SHAPES;
  return LIMBECK_OK;
}

static int run(void *instance, uint32_t op, const limbeck_exec *exec, const DLTensor *in, size_t n_in, DLTensor *out,
               size_t n_out) {
  (void)instance, (void)op, (void)exec, (void)n_in, (void)n_out;
  float *logits = out->data;
  RUN;
  for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] = i % 3 ? 0 : VALUE;
  RAN;
  return LIMBECK_OK;
}

static limbeck_str last_error(void *instance) {
  (void)instance, (void)inside, (void)message;
  LAST_ERROR;
}

LIMBECK_EXPORT int32_t NAME(uint32_t host_minor, const limbeck_backend **out) {
  (void)host_minor;
  static struct { limbeck_backend known; void *newer[3]; } room = {
      {sizeof(limbeck_backend), 0, {MANIFEST, sizeof MANIFEST - 1}, create, destroy, describe, shapes, run, last_error},
      {0}};
  limbeck_backend *table = &room.known;
  TABLE;
  QUERY;
  return *out = table, LIMBECK_OK;
}
