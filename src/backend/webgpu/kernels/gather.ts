// gather: one element a thread. scatterAdd: one column a thread, rows in their order, so that equal indices add up alike
// every time (WebGPU has no f32 atomics); for the short lists of rows that ops/ gathers.
// An index outside the rows reads and writes what WebGPU's bounds checks allow; the caller has checked it.
import type { GpuKernel } from '../kernel.ts'
import { pass, WIDTH } from './wgsl.ts'

export const gather: GpuKernel<'gather'> = ({ m, n }, _, { maxWorkgroups }) => ({
  passes: [
    pass(
      {
        key: '',
        buffers: [
          { name: 'y', access: 'read_write', type: 'u32' },
          { name: 'x', access: 'read', type: 'u32' },
          { name: 'index', access: 'read', type: 'i32' },
        ],
        fields: [
          ['all', 'u32', m * n],
          ['n', 'u32', n],
        ],
        groups: Math.ceil((m * n) / WIDTH),
        width: WIDTH,
        body: () => '  if (i < u.all) { y[i] = x[u32(index[i / u.n]) * u.n + i % u.n]; }',
      },
      maxWorkgroups,
    ),
  ],
})

export const scatterAdd: GpuKernel<'scatterAdd'> = ({ m, n }, _, { maxWorkgroups }) => ({
  passes: [
    pass(
      {
        key: '',
        buffers: [
          { name: 'y', access: 'read_write' },
          { name: 'x', access: 'read' },
          { name: 'index', access: 'read', type: 'i32' },
        ],
        fields: [
          ['m', 'u32', m],
          ['n', 'u32', n],
        ],
        groups: m === 0 ? 0 : Math.ceil(n / 64),
        width: 64,
        body: () => `  if (i >= u.n) { return; }
  for (var r = 0u; r < u.m; r++) {
    let at = u32(index[r]) * u.n + i;
    y[at] += x[r * u.n + i];
  }`,
      },
      maxWorkgroups,
    ),
  ],
})
