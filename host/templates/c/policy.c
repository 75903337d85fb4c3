/* `{name}`: clear images first. The score is `p · (floor + (1 − floor) · m)`, the weight `floor + (1 − floor) · p`, where
 * `p` is the teacher's probability of the class that the image was drawn for, and `m` how far its two most probable
 * classes are apart. Images with `p` below `floor` are dropped.
 *
 * Change it, then `limbeck policy build`, `check`, and `replay` on a finished run. What it can call is in
 * limbeck_policy.h; what it can read is in wit/deps/limbeck-policy/policy.wit. */
#include "limbeck_policy.h"

static const lp_text P_CLASS = LP_LITERAL("teacher.p-class");
static const lp_text MARGIN = LP_LITERAL("teacher.margin");

static double lowest = 0.1;

static lp_info describe(void) {
  return (lp_info){LP_TEXT("{name}"), LP_TEXT("0.1.0"),
                   LP_TEXT("keeps and favours what the teacher sees clearly as its class"), 1};
}

static lp_text init(const lp_env *env, lp_setup *setup) {
  static const lp_text needs[] = {LP_LITERAL("teacher.p-class"), LP_LITERAL("teacher.margin")};
  static const lp_text reasons[] = {LP_LITERAL("the teacher gives the class less than `floor`")};
  lowest = 0.1;
  const lp_option options[] = {{LP_TEXT("floor"), &lowest}};
  lp_text error = lp_configure(env->config_json, options, 1);
  if (error.bytes) return error;
  if (!(lowest >= 0 && lowest <= 1)) return LP_TEXT("`floor` is expected from 0 to 1");
  *setup = (lp_setup){needs, 2, reasons, 1};
  return LP_OK;
}

/* From `floor` to 1 as `share` goes from 0 to 1. */
static double above_floor(double share) { return lowest + (1 - lowest) * share; }

static lp_text score(const lp_batch *batch, lp_scores *scores) {
  const float *p, *margin;
  lp_text error = lp_f32s(batch, P_CLASS, &p);
  if (!error.bytes) error = lp_f32s(batch, MARGIN, &margin);
  if (error.bytes) return error;
  scores->values = lp_take(batch->rows * sizeof *scores->values);
  scores->vetoes = lp_take(batch->rows * sizeof *scores->vetoes);
  for (uint32_t row = 0; row < batch->rows; row++) {
    scores->values[row] = (float)(p[row] * above_floor(margin[row]));
    if (p[row] < lowest) scores->vetoes[scores->vetoes_count++] = (lp_veto){row, 0};
  }
  return LP_OK;
}

static lp_text weigh(const lp_batch *batch, float *weights) {
  const float *p;
  lp_text error = lp_f32s(batch, P_CLASS, &p);
  if (error.bytes) return error;
  for (uint32_t row = 0; row < batch->rows; row++) {
    double weight = above_floor(p[row]);
    weights[row] = (float)(weight > 1e-6 ? weight : 1e-6);
  }
  return LP_OK;
}
