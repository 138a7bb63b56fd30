// The kernel table: every kernel's buffers and parameters, in the order in which a backend receives them.
// This is the contract of the reference (plain loops) and wasm backends; the formulas stand beside each entry.
// Not here: shapes and checks (see ops/) and how a backend runs a kernel.

/**
 * A buffer name ending in `?` may be left out, one ending in `*` is a list of buffers; all lists of a call are equally
 * long, and the buffers at one place of the lists have the same length. Outputs come first; an output may also be read
 * (`in place`).
 */
export interface KernelSpec {
  readonly out: readonly string[]
  readonly in: readonly string[]
  readonly params: Readonly<Record<string, 'i32' | 'f32'>>
}

const i = 'i32' as const
const f = 'f32' as const

export const kernels = {
  /** y[0..n) = value */
  fill: { out: ['y'], in: [], params: { n: i, value: f } },

  /**
   * Strided copy over six dimensions d0..d5 (unused ones are 1):
   * y[yo + sum i_k ys_k] = x[xo + sum i_k xs_k], or += with `accumulate` 1. Works on the 4-byte words of f32 and i32.
   */
  copy: {
    out: ['y'],
    in: ['x'],
    // biome-ignore format: one line for each role
    params: {
      d0: i, d1: i, d2: i, d3: i, d4: i, d5: i,
      ys0: i, ys1: i, ys2: i, ys3: i, ys4: i, ys5: i,
      xs0: i, xs1: i, xs2: i, xs3: i, xs4: i, xs5: i,
      yo: i, xo: i, accumulate: i,
    },
  },

  /** y[j] = f(x[j]); `op` is an index into unaryOps; affine is a x + b, the others ignore a and b. y may be x. */
  unary: { out: ['y'], in: ['x'], params: { op: i, n: i, a: f, b: f } },

  /** dx[j] = dy[j] f'(x[j]); affine multiplies by a. */
  unaryGrad: { out: ['dx'], in: ['dy', 'x'], params: { op: i, n: i, a: f, b: f } },

  /** y[j] = a[j] op b[(j / inner) % count], `op` an index into binaryOps: same shape, scalar, row and column in one rule. y may be a. */
  binary: { out: ['y'], in: ['a', 'b'], params: { op: i, n: i, inner: i, count: i } },

  /** x seen as (outer, count, inner); y (outer, inner) = scale * sum | max | sum of squares over count; `op` an index into reduceOps. */
  reduce: { out: ['y'], in: ['x'], params: { op: i, outer: i, count: i, inner: i, scale: f } },

  /**
   * For each of `batch` products: p = alpha A diag(kScale) B + bias[j]; y = residual + colScale[j] gate act(p).
   * A is (m, k), or (k, m) with transA 1; B is (k, n), or (n, k) with transB 1; y and residual are (m, n), rows contiguous.
   * strideA, strideB: elements from one product to the next (0 shares the operand); y and residual advance by m n.
   * act: 0 none, 1 gelu (erf), 2 gelu'. `slope` (m, n) receives gelu'(p), with act 1 only; gate (m, n) comes with act 0 only.
   * accumulate 1: y += the result (no residual then).
   * format 0: B is f32. Else it is i32 words of a packed weight W, whose rows are those of B as it lies: (n, k) with transB 1,
   * (k, n) with transB 0; `bScale` and `block` are the rest of it (packedFormats), batch is 1 and strideB 0.
   */
  matmul: {
    out: ['y', 'slope?'],
    in: ['a', 'b', 'bias?', 'colScale?', 'residual?', 'kScale?', 'gate?', 'bScale?'],
    // biome-ignore format: one line for each role
    params: {
      batch: i, m: i, n: i, k: i, transA: i, transB: i, strideA: i, strideB: i, alpha: f, act: i, accumulate: i,
      format: i, block: i,
    },
  },

  /** Each row of x (m, n): exp(x - max) / sum. */
  softmax: { out: ['y'], in: ['x'], params: { m: i, n: i } },

  /** dx = y (dy - sum(dy y)), by row of (m, n). */
  softmaxGrad: { out: ['dx'], in: ['dy', 'y'], params: { m: i, n: i } },

  /** By row of x (m, n): y = (x - mean) rstd w + b, rstd = 1 / sqrt(var + eps), biased two-pass variance; mean and rstd are (m). */
  layerNorm: { out: ['y', 'mean?', 'rstd?'], in: ['x', 'w', 'b'], params: { m: i, n: i, eps: f } },

  /**
   * xh = (x - mean) rstd; g = dy w; dx = rstd (g - mean(g) - xh mean(g xh)), or += with `accumulate` 1;
   * dw = sum_rows dy xh; db = sum_rows dy.
   */
  layerNormGrad: {
    out: ['dx?', 'dw?', 'db?'],
    in: ['dy', 'x', 'mean', 'rstd', 'w'],
    params: { m: i, n: i, accumulate: i },
  },

  /**
   * Rows of logits x (m, n), target (m) i32, -1 ignored (loss 0):
   * loss = -(1 - smoothing) logp[t] - smoothing / n sum logp; lse (m) is each row's log-sum-exp.
   */
  crossEntropy: { out: ['loss', 'lse'], in: ['x', 'target'], params: { m: i, n: i, smoothing: f } },

  /** dx[r, j] = dy[r] (exp(x - lse) - (1 - smoothing) [j = t] - smoothing / n); 0 in ignored rows. dy is (m). */
  crossEntropyGrad: { out: ['dx'], in: ['dy', 'x', 'lse', 'target'], params: { m: i, n: i, smoothing: f } },

  /** y[r] = x[index[r]] for m rows of n. */
  gather: { out: ['y'], in: ['x', 'index'], params: { m: i, n: i } },

  /** y[index[r]] += x[r] for m rows of n, in row order; y holds its starting values. */
  scatterAdd: { out: ['y'], in: ['x', 'index'], params: { m: i, n: i } },

  /**
   * e = j / inner (integer); u = word e % 4 of philox4x32-10(counter = [e / 4, stream, seed[1], 0], key = [seed[0], 0]);
   * y[j] = u >= threshold (both unsigned) ? x[j] scale : 0. seed is i32 (2): run seed, step. y may be x.
   * The same call with dy for x is the gradient. inner > 1 drops whole samples (drop path).
   */
  dropout: { out: ['y'], in: ['x', 'seed'], params: { n: i, inner: i, threshold: i, scale: f, stream: i } },

  /**
   * Softmax(scale Q K^T) V by head on q, k, v, o (B, N, H D), head h in columns [h D, (h+1) D).
   * lse (B, H, N) is each score row's log-sum-exp (after scale). No (N, N) tensor in memory beyond one head's scratch.
   */
  attention: { out: ['o', 'lse?'], in: ['q', 'k', 'v'], params: { b: i, n: i, h: i, d: i, scale: f } },

  /** P = exp(scale Q K^T - lse); dV = P^T dO; dS = P (dO V^T - rowsum(dO O)); dQ = scale dS K; dK = scale dS^T Q. */
  attentionGrad: {
    out: ['dq?', 'dk?', 'dv?'],
    in: ['do', 'q', 'k', 'v', 'o', 'lse'],
    params: { b: i, n: i, h: i, d: i, scale: f },
  },

  /**
   * PyTorch's AdamW, in place, over every tensor of the lists. hyper f32 (6): lr, beta1, beta2, eps, 1 - beta1^t,
   * 1 - beta2^t; g is first multiplied by gradScale[0].
   * p *= 1 - lr decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= lr / c1 m / (sqrt(v) / sqrt(c2) + eps).
   */
  adamw: { out: ['p*', 'm*', 'v*'], in: ['g*', 'hyper', 'gradScale?'], params: { decay: f } },

  /**
   * PyTorch's SGD, in place, over every tensor of the lists. hyper f32 (2): lr, momentum. g = gradScale g + decay p;
   * buf = momentum buf + g; p -= lr (nesterov ? g + momentum buf : buf).
   */
  sgd: { out: ['p*', 'buf*'], in: ['g*', 'hyper', 'gradScale?'], params: { decay: f, nesterov: i } },

  /** norm (1) = sqrt of the sum of squares over all elements of the list; factor (1) = min(1, maxNorm / (norm + 1e-6)). */
  clipNorm: { out: ['norm', 'factor'], in: ['g*'], params: { maxNorm: f } },

  /**
   * By row of x (m, k), column c times kScale[c] first: scale = fl(max |x| fl(1 / 127)); codes = x fl(127 / max |x|), rounded half to
   * even, within -127..127. Each step rounds to f32, so all backends give the same bits. Codes are bytes, the first the lowest of
   * its word; rows are padded with 0: codes i32 (m, ceil(k / 4)), scale (m). A maximum below 2^-100 gives codes and scale 0, one
   * that is not finite codes 0 and scale NaN.
   */
  quantizeRows: { out: ['codes', 'scale'], in: ['x', 'kScale?'], params: { m: i, k: i } },

  /**
   * S = A B in exact integers, A codes (m, k) of quantizeRows, B codes within -63..63, (n, k) with transB 1, (k, n) with transB 0,
   * rows padded to words; p = alpha bScale[j] aScale[i] S + bias[j], multiplied from the right on in f32; then y as in matmul. S is the same on
   * every backend and engine.
   */
  matmulI8: {
    out: ['y', 'slope?'],
    in: ['a', 'aScale', 'b', 'bScale?', 'bias?', 'colScale?', 'residual?', 'gate?'],
    params: { m: i, n: i, k: i, transB: i, alpha: f, act: i, accumulate: i },
  },

  /** y (rows, k) = rows [row, row + rows) of a packed weight (n, k), as f32. */
  unpack: { out: ['y'], in: ['b', 'bScale'], params: { n: i, k: i, row: i, rows: i, format: i, block: i } },
} as const satisfies Record<string, KernelSpec>

// biome-ignore format: as one line
export const unaryOps = [
  'affine', 'exp', 'log', 'sqrt', 'rsqrt', 'reciprocal', 'tanh', 'sigmoid', 'relu', 'gelu', 'silu', 'abs', 'square',
] as const
export const binaryOps = ['add', 'sub', 'mul', 'div', 'max', 'min'] as const
export const reduceOps = ['sum', 'max', 'sumSquares'] as const

/**
 * How a packed weight W (rows, columns), N elements numbered e = row * columns + column, lies in its words and its scales:
 * - nf4: bitsandbytes' bytes, element 2 j in the high half of byte j; scales: 16 values of the codebook, a maximum by block;
 *   W = fl(codebook[code] maximum[e / block]).
 * - nf4-double: behind the codes, from a whole word on, a byte by block: the maximum's code; scales: 16 values, 256 of the second
 *   codebook, offset, a maximum by 256 blocks; maximum[i] = fl(fl(second[code] nested[i / 256]) + offset).
 * - int8: codes within -63..63, rows padded to words; scales: one by row.
 * - int8-block: codes within -127..127; scales: one by block.
 * The number is a kernel's `format`, 0 is f32. Bytes are in order from the lowest of their word on.
 */
export const packedFormats = { nf4: 1, 'nf4-double': 2, int8: 3, 'int8-block': 4 } as const

export type UnaryOp = (typeof unaryOps)[number]
export type BinaryOp = (typeof binaryOps)[number]
export type ReduceOp = (typeof reduceOps)[number]

type Spec = typeof kernels
export type KernelName = keyof Spec
type BufName<K extends KernelName> = Spec[K]['out'][number] | Spec[K]['in'][number]
type Required<N extends string> = N extends `${string}?` | `${string}*` ? never : N
type Optional<N extends string> = N extends `${infer Base}?` ? Base : never
type List<N extends string> = N extends `${infer Base}*` ? Base : never

/** The buffers of one call, by name. */
export type Bufs<K extends KernelName, B = Buf> = { [N in Required<BufName<K>>]: B } & {
  [N in Optional<BufName<K>>]?: B | undefined
} & { [N in List<BufName<K>>]: readonly B[] }

/** A buffer of the table: its name without the mark, and what the mark says. */
export interface BufferSlot {
  readonly name: string
  readonly optional: boolean
  readonly list: boolean
}

/** The buffers of a kernel, outputs first. */
export function slotsOf(kernel: KernelName): BufferSlot[] {
  return [...kernels[kernel].out, ...kernels[kernel].in].map((text: string) => ({
    name: text.replace(/[?*]$/, ''),
    optional: text.endsWith('?'),
    list: text.endsWith('*'),
  }))
}
/** The numbers of one call, by name. */
export type Params<K extends KernelName> = { [N in keyof Spec[K]['params']]: number }

/** A backend's handle on memory; only the backend that made it looks inside. */
export interface Buf {
  /** Number of elements. */
  readonly length: number
  readonly dtype: Dtype
}
export type Dtype = 'f32' | 'i32'
