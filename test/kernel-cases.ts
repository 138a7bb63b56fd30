// One list of cases for every kernel: sizes, numbers, inputs, and how far from the f64 reference an f32 result may be.
// Not here: running them (kernels.test.ts does, on each backend) and the reference's own proof (reference*.test.ts).
import './kernel-cases/attention.ts'
import './kernel-cases/copy.ts'
import './kernel-cases/elementwise.ts'
import './kernel-cases/gather.ts'
import './kernel-cases/loss.ts'
import './kernel-cases/matmul.ts'
import './kernel-cases/normalise.ts'
import './kernel-cases/optimizer.ts'
import './kernel-cases/random.ts'
import './kernel-cases/reduce.ts'
import './kernel-cases/scaled-matmul.ts'
import './kernel-cases/panels.ts'
import { cases, type KernelCase, type Values } from './kernel-cases/case.ts'

// Sizes at the edges of WebGPU's tiles; only that backend and the reference run them.
const shared = cases.length
if (process.env.VITUNE_TEST_WEBGPU) await import('./kernel-cases/tiles.ts')
export const tileCases: ReadonlySet<KernelCase> = new Set(cases.slice(shared))
// Numbers follow from a case's place in the list, so these stand behind what was there before.
await import('./kernel-cases/packed.ts')
await import('./kernel-cases/integers.ts')

export { cases, type KernelCase, type Values }
