// What a training step in its steady state asks of WebGPU: few dispatches and submits, and nothing new. Counted at
// DINOv2-small's size on a GPU that does nothing, and at a small size on Dawn's null backend, which checks every call and
// every kernel as it would for a GPU, and runs none.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { injectAdapter, loraConfig } from 'vitune/adapters'
import type { VitConfig } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { createWebgpu, Rng, type WebgpuBackend, type WebgpuStats } from 'vitune/tensor'
import { fit, multiclass } from 'vitune/train'
import { create } from 'webgpu'
import { batchOf } from './batch-of.ts'
import { idleGpu } from './idle-gpu.ts'
import { smallVit } from './small-vit.ts'

const classes = ['ant', 'bee', 'cat']

/** What each step of LoRA training adds to the counters, the gradients clipped, by AdamW; the classifier trains too. */
async function stepsOf(backend: WebgpuBackend, changes: Partial<VitConfig>, images: number): Promise<WebgpuStats[]> {
  const model = smallVit(backend, { classes, layerScale: true, ...changes })
  injectAdapter(model, loraConfig({ r: 8 }), 1)
  const [height, width] = model.config.imageSize
  const rng = new Rng(7)
  const labels = Int32Array.from({ length: images }, (_, i) => i % classes.length)
  const pixels = Float32Array.from({ length: images * 3 * height * width }, () => rng.normal())
  const batch = batchOf(pixels, [images, 3, height, width], labels)
  const train = {
    batches: 4,
    async *epoch() {
      for (let i = 0; i < 4; i++) yield batch
    },
  }
  const seen: WebgpuStats[] = []
  let before = backend.stats()
  for await (const event of fit({ model, task: multiclass(classes), train, epochs: 1, lr: 1e-3, clip: 1 })) {
    if (event.kind !== 'step') continue
    const after = backend.stats()
    const names = Object.keys(after) as (keyof WebgpuStats)[]
    seen.push(Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as WebgpuStats)
    before = after
  }
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  return seen
}

/** The third and the fourth step make nothing. */
function assertSteady(steps: readonly WebgpuStats[]): void {
  for (const { allocations, bindGroups, pipelines } of steps.slice(2)) {
    assert.equal({ allocations, bindGroups, pipelines }, { allocations: 0, bindGroups: 0, pipelines: 0 })
  }
}

const dinov2: Partial<VitConfig> = {
  hidden: 384,
  layers: 12,
  heads: 6,
  mlpHidden: 1536,
  imageSize: [224, 224],
  patchSize: 14,
  positionGrid: [16, 16],
  pooling: 'cls+mean',
}

test('a LoRA step of DINOv2-small, batch 8, is at most 450 dispatches and 16 submits on any GPU, and makes nothing', async () => {
  const { gpu, asked } = idleGpu()
  const backend = await createWebgpu({ gpu })
  const steps = await stepsOf(backend, dinov2, 8)
  assertSteady(steps)
  for (const [i, { dispatches, submits }] of steps.entries()) {
    // Before the first step weights and moments are looked at once, for NaN.
    const looks = i === 0 ? 25 : 0
    assert.ok(dispatches > 300 && dispatches <= 450 + looks, `${dispatches} dispatches`)
    assert.ok(submits <= 16, `${submits} submits`)
  }
  // The counters are what the device was asked for, but for the buffer of uniforms, made at the start.
  const { allocations, bindGroups, dispatches, submits, pipelines } = backend.stats()
  assert.equal(asked, { buffers: allocations + 1, bindGroups, dispatches, submits, pipelines })
  await backend.dispose()
})

test('a LoRA step that Dawn checks, with the kernels and subgroups of a GPU, makes nothing once it has run', async () => {
  const backend = await createWebgpu({ gpu: create(['backend=null']) })
  assert.not(backend.software)
  assertSteady(await stepsOf(backend, { layers: 2 }, 2))
  await backend.dispose()
})

test.run()
