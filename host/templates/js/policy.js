// `{name}`: clear images first. The score is `p · (floor + (1 − floor) · m)`, the weight `floor + (1 − floor) · p`, where
// `p` is the teacher's probability of the class that the image was drawn for, and `m` how far its two most probable
// classes are apart. Images with `p` below `floor` are dropped.
//
// Change it, then `limbeck policy build`, `check`, and `replay` on a finished run. What it can read and must reply is in
// wit/deps/limbeck-policy/policy.wit. A JavaScript engine is inside the component: it is large and slow to load.

let floor = 0.1;

export const lifecycle = {
  describe() {
    return {
      name: '{name}',
      version: '0.1.0',
      summary: 'keeps and favours what the teacher sees clearly as its class',
      stateVersion: 1,
    };
  },

  // An error is thrown as a string: it is shown to the user as a fault of the recipe.
  init({ configJson }) {
    const { floor: wanted = 0.1, ...unknown } = JSON.parse(configJson);
    for (const key in unknown) throw `config: unknown field \`${key}\`, expected \`floor\``;
    if (!(wanted >= 0 && wanted <= 1)) throw `\`floor\` is ${wanted}, expected 0 to 1`;
    floor = wanted;
    return {
      needs: ['teacher.p-class', 'teacher.margin'],
      reasons: ['the teacher gives the class less than `floor`'],
    };
  },

  epochEnd(_epoch, _statsJson) {},

  save() {
    return new Uint8Array();
  },

  restore(_stateVersion, _state) {},
};

// From `floor` to 1 as `share` goes from 0 to 1.
const aboveFloor = (share) => floor + (1 - floor) * share;

export const scorer = {
  score(batch) {
    const p = batch.f32s('teacher.p-class', 0, batch.len());
    const margin = batch.f32s('teacher.margin', 0, batch.len());
    const values = p.map((p, row) => p * aboveFloor(margin[row]));
    const vetoes = [];
    p.forEach((p, row) => p < floor && vetoes.push({ row, reason: 0 }));
    return { values, vetoes };
  },
};

export const weigher = {
  weigh(batch) {
    const p = batch.f32s('teacher.p-class', 0, batch.len());
    return p.map((p) => Math.max(aboveFloor(p), 1e-6));
  },
};
