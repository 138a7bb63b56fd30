// fill, unary, unaryGrad, binary: one element a thread, a variant for each operation.
import { type BinaryOp, binaryOps, type UnaryOp, unaryOps } from '../../kernels.ts'
import type { GpuKernel } from '../kernel.ts'
import { bitsText, expText, extremaText, geluText, logText, sigmoidText, tanhText } from './math.ts'
import { type BufferSpec, pass, WIDTH } from './wgsl.ts'

interface Formula {
  readonly needs?: string
  readonly value: string
  readonly slope: string
}

/** Formulas of x, a, b; the slopes of relu and abs are 0 at their kinks. */
const formulas: Record<UnaryOp, Formula> = {
  affine: { value: 'fma(u.a, x, u.b)', slope: 'u.a' },
  exp: { needs: expText, value: 'exp1(x)', slope: 'exp1(x)' },
  log: { needs: logText, value: 'log1(x)', slope: '1.0 / x' },
  sqrt: { value: 'sqrt(x)', slope: '0.5 / sqrt(x)' },
  // Not inverseSqrt, which may be off by 2 ULP before anything else.
  rsqrt: { value: '1.0 / sqrt(x)', slope: '-0.5 / (x * sqrt(x))' },
  reciprocal: { value: '1.0 / x', slope: '-(1.0 / x) / x' },
  tanh: { needs: expText + tanhText, value: 'tanh1(x)', slope: 'fma(-tanh1(x), tanh1(x), 1.0)' },
  sigmoid: { needs: expText + sigmoidText, value: 'sigmoid1(x)', slope: 'sigmoid1(x) * sigmoid1(-x)' },
  relu: { value: 'select(x, 0.0, x < 0.0)', slope: 'select(0.0, 1.0, x > 0.0)' },
  gelu: { needs: expText + geluText, value: 'gelu2(x).x', slope: 'gelu2(x).y' },
  silu: {
    needs: expText + sigmoidText,
    value: 'x * sigmoid1(x)',
    slope: 'sigmoid1(x) * fma(x, sigmoid1(-x), 1.0)',
  },
  abs: { value: 'abs(x)', slope: 'sign(x)' },
  square: { value: 'x * x', slope: '2.0 * x' },
}

const pairs: Record<BinaryOp, string> = {
  add: 'v + w',
  sub: 'v - w',
  mul: 'v * w',
  div: 'v / w',
  max: 'max2(v, w)',
  min: 'min2(v, w)',
}

const groups = (n: number) => Math.ceil(n / WIDTH)

/** The output and the input that it may be: one binding where they are one buffer. */
function outAndIn(out: string, input: string, has: (name: string) => boolean): { specs: BufferSpec[]; from: string } {
  if (has(`alias:${out}=${input}`)) return { specs: [{ name: out, access: 'read_write' }], from: out }
  return {
    specs: [
      { name: out, access: 'read_write' },
      { name: input, access: 'read' },
    ],
    from: input,
  }
}

export const fill: GpuKernel<'fill'> = ({ n, value }, _, { maxWorkgroups }) => ({
  passes: [
    pass(
      {
        key: '',
        buffers: [{ name: 'y', access: 'read_write' }],
        fields: [
          ['n', 'u32', n],
          ['value', 'f32', value],
        ],
        groups: groups(n),
        width: WIDTH,
        body: () => '  if (i < u.n) { y[i] = u.value; }',
      },
      maxWorkgroups,
    ),
  ],
})

export const unary: GpuKernel<'unary'> = ({ op, n, a, b }, has, { maxWorkgroups }) => {
  const name = unaryOps[op]!
  const { needs = '', value } = formulas[name]
  const { specs, from } = outAndIn('y', 'x', has)
  return {
    passes: [
      pass(
        {
          key: `${name} ${specs.length}`,
          buffers: specs,
          fields: [
            ['n', 'u32', n],
            ['a', 'f32', a],
            ['b', 'f32', b],
          ],
          groups: groups(n),
          width: WIDTH,
          helpers: () => `${bitsText}${needs}\nfn f(x: f32) -> f32 { return ${value}; }`,
          // A run that diverged must show it, whatever the compiler thinks of NaN.
          body: () => `  if (i >= u.n) { return; }
  let v = ${from}[i];
  y[i] = select(f(v), v, is_nan(v));`,
        },
        maxWorkgroups,
      ),
    ],
  }
}

export const unaryGrad: GpuKernel<'unaryGrad'> = ({ op, n, a }, _, { maxWorkgroups }) => {
  const name = unaryOps[op]!
  const { needs = '', slope } = formulas[name]
  return {
    passes: [
      pass(
        {
          key: name,
          buffers: [
            { name: 'dx', access: 'read_write' },
            { name: 'dy', access: 'read' },
            { name: 'x', access: 'read', as: 'input' },
          ],
          fields: [
            ['n', 'u32', n],
            ['a', 'f32', a],
          ],
          groups: groups(n),
          width: WIDTH,
          helpers: () => `${bitsText}${needs}\nfn slope(x: f32) -> f32 { return ${slope}; }`,
          // Reading x keeps the binding alive where the slope does not need it (affine).
          body: () => '  if (i < u.n) { dx[i] = dy[i] * slope(input[i]); }',
        },
        maxWorkgroups,
      ),
    ],
  }
}

export const binary: GpuKernel<'binary'> = ({ op, n, inner, count }, has, { maxWorkgroups }) => {
  const name = binaryOps[op]!
  const { specs, from } = outAndIn('y', 'a', has)
  // The divisions cost more than the arithmetic: leave out those that change nothing.
  const same = inner === 1 && count >= n
  const at = same ? 'i' : count === 1 ? '0u' : inner === 1 ? 'i % u.count' : '(i / u.inner) % u.count'
  return {
    passes: [
      pass(
        {
          key: `${name} ${specs.length} ${at}`,
          buffers: [...specs, { name: 'b', access: 'read' }],
          fields: [
            ['n', 'u32', n],
            ['inner', 'u32', inner],
            ['count', 'u32', count],
          ],
          groups: groups(n),
          width: WIDTH,
          helpers: () => (name === 'max' || name === 'min' ? bitsText + extremaText : ''),
          body: () => `  if (i >= u.n) { return; }
  let v = ${from}[i];
  let w = b[${at}];
  y[i] = ${pairs[name]};`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
