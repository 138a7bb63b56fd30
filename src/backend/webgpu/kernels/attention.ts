// attention and attentionGrad: which passes, on which buffers. Never an (N, N) tensor in memory. No atomics, so dQ (by query
// rows) and dK, dV (by key rows) are passes of their own. f32, sums in a fixed order, any N and D. What is not wanted is a
// uniform flag, so that a model compiles one pipeline a pass. GPUs: attention-flash.ts; software: attention-direct.ts.
import type { GpuKernel, Pass } from '../kernel.ts'
import { directForward, directKeyGrad, directQueryGrad } from './attention-direct.ts'
import { flashForward, flashKeyGrad, flashQueryGrad } from './attention-flash.ts'
import { want } from './attention-ways.ts'
import { type BufferSpec, NONE } from './wgsl.ts'

const read = (name: string, as = name): BufferSpec => ({ name, access: 'read', as })
/** An output, or nothing in its place. */
const write = (name: string, wanted = true, as = name): BufferSpec => ({
  name: wanted ? name : NONE,
  access: 'read_write',
  as,
})
const inputs = [read('q'), read('k'), read('v')]

export const attention: GpuKernel<'attention'> = (sizes, has, limits) => {
  const build = limits.direct ? directForward : flashForward
  const lse = has('lse')
  return { passes: [build(sizes, [write('o'), write('lse', lse), ...inputs], lse ? 1 : 0, limits)] }
}

export const attentionGrad: GpuKernel<'attentionGrad'> = (sizes, has, limits) => {
  const { b, n, h } = sizes
  const [dq, dk, dv] = [has('dq'), has('dk'), has('dv')]
  const flags = (dq ? want.dq : 0) | (dk ? want.dk : 0) | (dv ? want.dv : 0)
  // `do` is a reserved word in WGSL.
  const given = [read('do', 'dO'), ...inputs, read('lse')]
  const delta = 'temp:delta'
  const passes: Pass[] = []
  if (dq || dk) {
    const build = limits.direct ? directQueryGrad : flashQueryGrad
    const buffers = [write('dq', dq), write(delta, dk, 'delta'), ...given, read('o')]
    passes.push(build(sizes, buffers, flags, limits))
  }
  if (dk || dv) {
    const build = limits.direct ? directKeyGrad : flashKeyGrad
    // dV alone needs no delta.
    const buffers = [write('dk', dk), write('dv', dv), read(dk ? delta : 'lse', 'delta'), ...given]
    passes.push(build(sizes, buffers, flags, limits))
  }
  return dk ? { passes, temps: { delta: b * h * n } } : { passes }
}
