//! The names of the columns that a host computes. `p` is the teacher's softmax, `q` the student's, `y` the intended
//! class, `C` the number of classes; logarithms are natural. One number a row unless a width is given.

/// The intended class `y` (u64, 0..C). Free.
pub const CLASS: &str = "class";
/// The image's id in the pool (u64). Free.
pub const ID: &str = "id";

/// `max p`, in 1/C..=1. How sure the teacher is of what it sees.
pub const TEACHER_MAX_PROB: &str = "teacher.max-prob";
/// Largest less second largest of `p`, in 0..=1. Small: the teacher wavers between two classes.
pub const TEACHER_MARGIN: &str = "teacher.margin";
/// `H(p) = −Σ p ln p` in nats, in 0..=ln C.
pub const TEACHER_ENTROPY: &str = "teacher.entropy";
/// `p[y]`, in 0..=1. How much the teacher agrees with the label.
pub const TEACHER_P_CLASS: &str = "teacher.p-class";
/// 1 where arg-max of `p` is `y`, otherwise 0. Equal probabilities go to the lower class.
pub const TEACHER_CORRECT: &str = "teacher.correct";
/// How many classes are more probable than `y`, in 0..C: 0 where the teacher agrees.
pub const TEACHER_RANK_CLASS: &str = "teacher.rank-class";
/// `−ln p[y]` in nats, ≥ 0.
pub const TEACHER_LOSS: &str = "teacher.loss";
/// The teacher's logits, width C. Costs 4 C bytes a row.
pub const TEACHER_LOGITS: &str = "teacher.logits";
/// The teacher's softmax `p`, width C. Costs 4 C bytes a row.
pub const TEACHER_PROBS: &str = "teacher.probs";
/// The teacher's features, width `feature_dim`. Only where the teacher gives them.
pub const TEACHER_FEATURES: &str = "teacher.features";

/// As [`TEACHER_MAX_PROB`], of the student. The student's columns exist in training, where each row is the image as it was
/// varied for this step, and in a selection that names a finished student (`select.student`) or comes after the first round
/// of several, by the student of the round before. In the first round, a policy that asks for them lets everything stay.
pub const STUDENT_MAX_PROB: &str = "student.max-prob";
/// As [`TEACHER_MARGIN`], of the student.
pub const STUDENT_MARGIN: &str = "student.margin";
/// As [`TEACHER_ENTROPY`], of the student.
pub const STUDENT_ENTROPY: &str = "student.entropy";
/// As [`TEACHER_P_CLASS`], of the student.
pub const STUDENT_P_CLASS: &str = "student.p-class";
/// As [`TEACHER_CORRECT`], of the student.
pub const STUDENT_CORRECT: &str = "student.correct";
/// As [`TEACHER_RANK_CLASS`], of the student.
pub const STUDENT_RANK_CLASS: &str = "student.rank-class";
/// As [`TEACHER_LOSS`], of the student.
pub const STUDENT_LOSS: &str = "student.loss";
/// The student's logits, width C. Costs 4 C bytes a row.
pub const STUDENT_LOGITS: &str = "student.logits";
/// The student's softmax `q`, width C. Costs 4 C bytes a row.
pub const STUDENT_PROBS: &str = "student.probs";
/// The student's features. Selection with `select.student` only; their width is that of the column.
pub const STUDENT_FEATURES: &str = "student.features";
/// `KL(p‖q) = Σ p (ln p − ln q)` in nats at temperature 1, ≥ 0. How far the student is from the teacher. Where there is a
/// student.
pub const KL: &str = "kl";

/// The guidance scale that the image was drawn with (≥ 0). Selection only, like the three below.
pub const GUIDANCE: &str = "guidance";
/// Sampler steps that the image was drawn with (u64, ≥ 1).
pub const STEPS: &str = "steps";
/// The seed that the image's noise came from (u64).
pub const SEED: &str = "seed";
/// The round in which the image was drawn (u64, from 0).
pub const ROUND: &str = "round";

/// A number that another program gave the image, such as CLIP's probability of the class. Selection with
/// `select.external` only; its range is that program's.
pub const EXTERNAL: &str = "external";

/// How many steps have seen the image before this one (u64). The history exists in training and, as it stood at the end
/// of an earlier one, in a selection with `select.history`. All of it is 0 for an image that was not seen yet. Keeping it
/// costs 2 C exponentials an image and step, whether it is read or not; reading it is free.
pub const HISTORY_SEEN: &str = "history.seen";
/// How often the student fell from right to wrong on it (u64).
pub const HISTORY_FORGOTTEN: &str = "history.forgotten";
/// `−ln q[y]` in nats when it was seen last, ≥ 0.
pub const HISTORY_LOSS: &str = "history.loss";
/// The mean of `−ln q[y]` over the steps that saw it.
pub const HISTORY_MEAN_LOSS: &str = "history.mean-loss";
/// `KL(p‖q)` in nats when it was seen last, ≥ 0.
pub const HISTORY_KL: &str = "history.kl";
/// The mean of the student's `z[y] − max over k ≠ y of z[k]`: the area under the margin.
pub const HISTORY_MARGIN: &str = "history.margin";
/// The mean of `q[y]`, in 0..=1: the confidence of a dataset map.
pub const HISTORY_P_CLASS: &str = "history.p-class";
/// The standard deviation of `q[y]`, in 0..=0.5: the variability of a dataset map.
pub const HISTORY_P_CLASS_STD: &str = "history.p-class-std";

/// How many images of the row's class there are in the pool, or in training (u64, ≥ 1). Free.
pub const CLASS_COUNT: &str = "class.count";
/// The mean of [`HISTORY_LOSS`] over the images of the row's class that were seen. Training only.
pub const CLASS_LOSS: &str = "class.loss";
/// The mean of `p[y] − q[y]` over them when they were seen last, in -1..=1: how far the student lags. Training only.
pub const CLASS_LAG: &str = "class.lag";
