// adamw, sgd and clipNorm over lists: as many tensors a pass as the device lets it bind. The step's numbers lie in a
// buffer, never in the command. adamw and sgd: a workgroup has 256 elements of one tensor. clipNorm: a piece of one.
import type { GpuKernel, Pass } from '../kernel.ts'
import { type BufferSpec, type Field, pass, WIDTH, workgroupReduce } from './wgsl.ts'

/** Elements whose squares one workgroup adds up. */
const PIECE = 16384

interface Part {
  /** Entries [from, to) of the lists. */
  readonly from: number
  readonly to: number
  /** The workgroup behind the last of each entry, counted within the part. */
  readonly ends: readonly number[]
}

/** Cuts the lists into parts of at most `most` entries, an entry of n elements taking n / size workgroups. Empty ones are left out. */
function partsOf(lengths: readonly number[], most: number, size: number): Part[] {
  const parts: Part[] = []
  for (let from = 0; from < lengths.length; from += most) {
    const to = Math.min(lengths.length, from + most)
    let end = 0
    const ends = lengths.slice(from, to).map((n) => {
      end += Math.ceil(n / size)
      return end
    })
    parts.push({ from, to, ends })
  }
  return parts
}

/** For each entry of a part its length and its last workgroup, as fields n0, end0, n1, ... */
const partFields = ({ from, to, ends }: Part, lengths: readonly number[]): Field[] =>
  lengths.slice(from, to).flatMap((n, i): Field[] => [
    [`n${i}`, 'u32', n],
    [`end${i}`, 'u32', ends[i]!],
  ])

/** `text(i)` for the entry of the part that owns the workgroup; in scope: `at`, the workgroup counted within the entry. */
const choose = ({ from, to }: Part, text: (i: number) => string) =>
  Array.from({ length: to - from }, (_, i) => {
    const start = i === 0 ? '0u' : `u.end${i - 1}`
    return `if (group >= ${start} && group < u.end${i}) {
    let at = group - ${start};
    ${text(i)}
  }`
  }).join(' else ')

/** The passes of an update: `state` lists are changed, `g` is read; `text(i)` updates element `e` of entry i. */
function update(
  state: readonly string[],
  extra: readonly string[],
  key: string,
  fields: readonly Field[],
  lengths: readonly number[],
  limits: { maxWorkgroups: number; storageBuffers: number },
  text: (i: number) => string,
): Pass[] {
  const most = Math.max(1, Math.floor(limits.storageBuffers / (state.length + 1)))
  return partsOf(lengths, most, WIDTH).map((part) => {
    const buffers: BufferSpec[] = []
    for (let i = 0; i < part.to - part.from; i++) {
      for (const name of state)
        buffers.push({ name: `${name}:${part.from + i}`, access: 'read_write', as: `${name}_${i}` })
      buffers.push({ name: `g:${part.from + i}`, access: 'read', as: `g_${i}` })
    }
    // Uniform, so that two tensors of AdamW fit beside them in the eight storage buffers that every device binds.
    for (const name of ['hyper', ...extra]) buffers.push({ name, access: 'uniform', type: 'array<vec4f, 2>' })
    return pass(
      {
        key: `${part.to - part.from} ${extra.join()} ${key}`,
        buffers,
        fields: [...fields, ...partFields(part, lengths)],
        groups: part.ends.at(-1)!,
        width: WIDTH,
        body: () =>
          `  ${choose(
            part,
            (i) => `let e = at * ${WIDTH}u + lane;
    if (e >= u.n${i}) { return; }
    ${text(i)}`,
          )}`,
      },
      limits.maxWorkgroups,
    )
  })
}

export const adamw: GpuKernel<'adamw'> = ({ decay }, has, limits, lengths) => {
  const extra = ['gradScale'].filter(has)
  const scale = extra.length > 0 ? ' * gradScale[0].x' : ''
  const text = (i: number) => `let lr = hyper[0].x;
    let beta1 = hyper[0].y;
    let beta2 = hyper[0].z;
    let grad = g_${i}[e]${scale};
    let m1 = beta1 * m_${i}[e] + (1.0 - beta1) * grad;
    let v1 = beta2 * v_${i}[e] + (1.0 - beta2) * grad * grad;
    m_${i}[e] = m1;
    v_${i}[e] = v1;
    p_${i}[e] = p_${i}[e] * (1.0 - lr * u.decay) - lr / hyper[1].x * m1 / (sqrt(v1) / sqrt(hyper[1].y) + hyper[0].w);`
  return { passes: update(['p', 'm', 'v'], extra, '', [['decay', 'f32', decay]], lengths, limits, text) }
}

export const sgd: GpuKernel<'sgd'> = ({ decay, nesterov }, has, limits, lengths) => {
  const extra = ['gradScale'].filter(has)
  const scale = extra.length > 0 ? ' * gradScale[0].x' : ''
  const text = (i: number) => `let momentum = hyper[0].y;
    let grad = g_${i}[e]${scale} + u.decay * p_${i}[e];
    let b1 = momentum * buf_${i}[e] + grad;
    buf_${i}[e] = b1;
    p_${i}[e] = p_${i}[e] - hyper[0].x * ${nesterov === 1 ? '(grad + momentum * b1)' : 'b1'};`
  return { passes: update(['p', 'buf'], extra, `${nesterov}`, [['decay', 'f32', decay]], lengths, limits, text) }
}

export const clipNorm: GpuKernel<'clipNorm'> = (
  { maxNorm },
  _,
  { maxWorkgroups, storageBuffers, subgroups },
  lengths,
) => {
  let pieces = 0
  const passes = partsOf(lengths, storageBuffers - 1, PIECE).map((part) => {
    const first = pieces
    pieces += part.ends.at(-1)!
    return pass(
      {
        key: `squares ${part.to - part.from}`,
        buffers: [
          { name: 'temp:squares', access: 'read_write', as: 'squares' },
          ...Array.from({ length: part.to - part.from }, (_, i): BufferSpec => {
            return { name: `g:${part.from + i}`, access: 'read', as: `g_${i}` }
          }),
        ],
        fields: [['first', 'u32', first], ...partFields(part, lengths)],
        groups: part.ends.at(-1)!,
        width: WIDTH,
        subgroups,
        helpers: () => workgroupReduce('together', WIDTH, 'sum', subgroups),
        body: () => `  var sum = 0.0;
  ${choose(
    part,
    (i) => `let high = min(u.n${i}, (at + 1u) * ${PIECE}u);
    for (var e = at * ${PIECE}u + lane; e < high; e += ${WIDTH}u) { sum = fma(g_${i}[e], g_${i}[e], sum); }`,
  )}
  let all = together(sum, lane);
  if (lane == 0u && group < u.end${part.to - part.from - 1}) { squares[u.first + group] = all; }`,
      },
      maxWorkgroups,
    )
  })
  const last = pass(
    {
      key: 'norm',
      buffers: [
        { name: 'norm', access: 'read_write', as: 'norm' },
        { name: 'factor', access: 'read_write' },
        { name: 'temp:squares', access: 'read', as: 'squares' },
      ],
      fields: [
        ['count', 'u32', pieces],
        ['max_norm', 'f32', maxNorm],
      ],
      groups: 1,
      width: WIDTH,
      subgroups,
      helpers: () => workgroupReduce('together', WIDTH, 'sum', subgroups),
      body: () => `  var sum = 0.0;
  for (var c = lane; c < u.count; c += ${WIDTH}u) { sum += squares[c]; }
  let all = sqrt(together(sum, lane));
  if (lane == 0u) {
    norm[0] = all;
    factor[0] = min(1.0, u.max_norm / (all + 1e-6));
  }`,
    },
    maxWorkgroups,
  )
  return { passes: [...passes, last], temps: { squares: Math.max(1, pieces) } }
}
