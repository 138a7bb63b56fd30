// Ten training losses on WebGPU against PyTorch's and PEFT's; torch-values.test.ts does the same on the other backends.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  applyAdapter,
  type Batch,
  createWebgpu,
  disposeModule,
  fit,
  loadVit,
  multiclass,
  openAdapter,
  openCheckpoint,
  openSafetensors,
} from 'vitune'

const root = new URL('fixtures/', import.meta.url).pathname

async function batches(): Promise<Batch[]> {
  const file = await openSafetensors(`${root}losses/batches-vit.safetensors`)
  const [count, ...shape] = file.info('pixel_values').shape as [number, number, number, number, number]
  const images = await file.read('pixel_values')
  const labels = Int32Array.from(await file.read('labels'))
  const [size, each] = [images.length / count, labels.length / count]
  return Array.from({ length: count }, (_, i) => ({
    images: images.slice(i * size, (i + 1) * size),
    shape,
    labels: labels.slice(i * each, (i + 1) * each),
    files: [],
  }))
}

for (const method of ['lora', 'dora']) {
  test(`ten losses of a small ViT with ${method} equal PyTorch's within 1e-4`, async () => {
    const facts = JSON.parse(readFileSync(`${root}losses/vit-${method}/values.json`, 'utf8'))
    const backend = await createWebgpu()
    const { model } = await loadVit(backend, await openCheckpoint(root + facts.base))
    await applyAdapter(model, await openAdapter(`${root}losses/vit-${method}/initial`))
    const some = await batches()
    const train = {
      batches: facts.steps,
      async *epoch() {
        for (let i = 0; i < facts.steps; i++) yield some[i % some.length]!
      },
    }
    const { lr, weight_decay: weightDecay } = facts.optimizer
    const losses: number[] = []
    const run = fit({ model, task: multiclass(model.config.classes), train, epochs: 1, lr, weightDecay })
    for await (const event of run) if (event.kind === 'step') losses.push(event.loss)
    assert.is(losses.length, 10)
    for (const [i, loss] of losses.entries()) {
      assert.ok(Math.abs(loss - facts.losses[i]) <= 1e-4, `step ${i + 1}: ${loss}, PyTorch ${facts.losses[i]}`)
    }
    disposeModule(model)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test.run()
