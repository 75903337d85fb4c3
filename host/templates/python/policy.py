"""`{name}`: clear images first. The score is `p · (floor + (1 − floor) · m)`, the weight `floor + (1 − floor) · p`, where
`p` is the teacher's probability of the class that the image was drawn for, and `m` how far its two most probable classes
are apart. Images with `p` below `floor` are dropped.

Change it, then `limbeck policy build`, `check`, and `replay` on a finished run. What it can read and must reply is in
wit/deps/limbeck-policy/policy.wit. A Python interpreter is inside the component: it is large and slow to load.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import Env, Info, Setup
from wit_world.exports.scorer import Scores
from wit_world.imports.data import Batch, Veto

floor = 0.1


def above_floor(share: float) -> float:
    """From `floor` to 1 as `share` goes from 0 to 1."""
    return floor + (1 - floor) * share


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Info:
        return Info("{name}", "0.1.0", "keeps and favours what the teacher sees clearly as its class", 1)

    def init(self, env: Env) -> Setup:
        """An `Err` is shown to the user as a fault of the recipe."""
        global floor
        config = json.loads(env.config_json)
        floor = config.pop("floor", 0.1)
        for key in config:
            raise Err(f"config: unknown field `{key}`, expected `floor`")
        if not (isinstance(floor, (int, float)) and 0 <= floor <= 1):
            raise Err(f"`floor` is {floor}, expected 0 to 1")
        needs = ["teacher.p-class", "teacher.margin"]
        return Setup(needs, ["the teacher gives the class less than `floor`"])

    def epoch_end(self, epoch: int, stats_json: str) -> None:
        pass

    def save(self) -> bytes:
        return b""

    def restore(self, state_version: int, state: bytes) -> None:
        pass


class Scorer(exports.Scorer):
    def score(self, batch: Batch) -> Scores:
        p = batch.f32s("teacher.p-class", 0, batch.len())
        margin = batch.f32s("teacher.margin", 0, batch.len())
        values = [p * above_floor(margin) for p, margin in zip(p, margin)]
        return Scores(values, [Veto(row, 0) for row, p in enumerate(p) if p < floor])


class Weigher(exports.Weigher):
    def weigh(self, batch: Batch) -> list[float]:
        p = batch.f32s("teacher.p-class", 0, batch.len())
        return [max(above_floor(p), 1e-6) for p in p]
