// adamw and sgd, in place, one element a thread. The step's numbers lie in a buffer, never in the command.
import type { GpuKernel } from '../kernel.ts'
import { type BufferSpec, pass, WIDTH } from './wgsl.ts'

const state = (...names: string[]): BufferSpec[] => names.map((name) => ({ name, access: 'read_write' }))
const given = (...names: string[]): BufferSpec[] => names.map((name) => ({ name, access: 'read' }))

export const adamw: GpuKernel<'adamw'> = ({ n, decay }, has, { maxWorkgroups }) => {
  const extra = ['gradScale'].filter(has)
  return {
    passes: [
      pass(
        {
          key: extra.join(),
          buffers: [...state('p', 'm', 'v'), ...given('g', 'hyper', ...extra)],
          fields: [
            ['n', 'u32', n],
            ['decay', 'f32', decay],
          ],
          groups: Math.ceil(n / WIDTH),
          width: WIDTH,
          body: () => `  if (i >= u.n) { return; }
  let lr = hyper[0];
  let beta1 = hyper[1];
  let beta2 = hyper[2];
  let grad = g[i]${extra.length > 0 ? ' * gradScale[0]' : ''};
  let m1 = beta1 * m[i] + (1.0 - beta1) * grad;
  let v1 = beta2 * v[i] + (1.0 - beta2) * grad * grad;
  m[i] = m1;
  v[i] = v1;
  p[i] = p[i] * (1.0 - lr * u.decay) - lr / hyper[4] * m1 / (sqrt(v1) / sqrt(hyper[5]) + hyper[3]);`,
        },
        maxWorkgroups,
      ),
    ],
  }
}

export const sgd: GpuKernel<'sgd'> = ({ n, decay, nesterov }, has, { maxWorkgroups }) => {
  const extra = ['gradScale'].filter(has)
  return {
    passes: [
      pass(
        {
          key: `${extra.join()} ${nesterov}`,
          buffers: [...state('p', 'buf'), ...given('g', 'hyper', ...extra)],
          fields: [
            ['n', 'u32', n],
            ['decay', 'f32', decay],
          ],
          groups: Math.ceil(n / WIDTH),
          width: WIDTH,
          body: () => `  if (i >= u.n) { return; }
  let momentum = hyper[1];
  let grad = g[i]${extra.length > 0 ? ' * gradScale[0]' : ''} + u.decay * p[i];
  let b1 = momentum * buf[i] + grad;
  buf[i] = b1;
  p[i] = p[i] - hyper[0] * ${nesterov === 1 ? '(grad + momentum * b1)' : 'b1'};`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
