// Ten training losses of a small ViT with LoRA and with DoRA against PyTorch's and PEFT's, eager and replayed, on WebGPU and
// on threads; long/suites-chromium.test.ts runs this file in a browser. All other methods and backends: torch-values.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { applyAdapter, openAdapter } from 'vitune/adapters'
import { openCheckpoint } from 'vitune/io'
import { loadVit } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import type { Backend } from 'vitune/tensor'
import { fit, multiclass } from 'vitune/train'
import { backends } from './backends.ts'
import { fixture, fixtureJson } from './fixtures.ts'
import { batchesOf } from './stored-batches.ts'

async function lossesOf(backend: Backend, method: string, replay: boolean): Promise<[number[], number[]]> {
  const facts = await fixtureJson(`losses/vit-${method}/values.json`)
  const { model } = await loadVit(backend, await openCheckpoint(await fixture(facts.base)))
  await applyAdapter(model, await openAdapter(await fixture(`losses/vit-${method}/initial`)))
  const some = await batchesOf('vit')
  const train = {
    batches: facts.steps,
    async *epoch() {
      for (let i = 0; i < facts.steps; i++) yield some[i % some.length]!
    },
  }
  const { lr, weight_decay: weightDecay } = facts.optimizer
  const losses: number[] = []
  const task = multiclass(model.config.classes)
  for await (const event of fit({ model, task, train, epochs: 1, lr, weightDecay, replay })) {
    if (event.kind === 'step') losses.push(event.loss)
  }
  disposeModule(model)
  return [losses, facts.losses]
}

for (const label of ['wasm, 2 threads, relaxed', 'webgpu'].filter((name) => name in backends)) {
  // One for all four: compiling WebGPU's kernels takes longer than they run.
  let backend: Backend
  for (const method of ['lora', 'dora']) {
    for (const replay of [false, true]) {
      test(`${label}: ten losses with ${method} equal PyTorch's within 1e-4, ${replay ? 'replayed' : 'eager'}`, async () => {
        backend ??= await backends[label]!.start()
        const [losses, wanted] = await lossesOf(backend, method, replay)
        assert.is(losses.length, 10)
        for (const [i, loss] of losses.entries()) {
          assert.ok(Math.abs(loss - wanted[i]!) <= 1e-4, `step ${i + 1}: ${loss}, PyTorch ${wanted[i]}`)
        }
        assert.is(backend.memory().buffers, 0)
      })
    }
  }
  test(`${label}: the backend of these ends`, () => backend.dispose())
}

test.run()
