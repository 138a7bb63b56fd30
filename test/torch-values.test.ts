// The stored PyTorch and PEFT values against this library: logits, gradients of one step, ten losses, adapters.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { applyAdapter, freezeBackbone, merge, openAdapter, saveAdapter } from 'vitune/adapters'
import { openCheckpoint, openSafetensors, type SafetensorsFile } from 'vitune/io'
import { huggingFaceName, loadVit, type Vit } from 'vitune/models'
import { Context, countParameters, disposeModule, setTrainable, trainableParameters } from 'vitune/nn'
import { affine, type Backend, createReference, createWasm, scope, tensor, valueAndGrad } from 'vitune/tensor'
import { fit, multiclass } from 'vitune/train'
import { batchesOf } from './stored-batches.ts'

const root = new URL('fixtures/', import.meta.url).pathname
const json = (path: string) => JSON.parse(readFileSync(root + path, 'utf8'))
const folders = (path: string) =>
  readdirSync(root + path, { withFileTypes: true })
    .filter((d) => d.isDirectory())
    .map((d) => d.name)

const backends: [string, () => Promise<Backend>][] = [
  ['reference', async () => createReference()],
  ['reference f64', async () => createReference({ precision: 'f64' })],
  ['wasm', () => createWasm({ threads: 1, disable: ['relaxed-simd'] })],
  ['wasm, 2 threads, relaxed', () => createWasm({ threads: 2 })],
]

function near(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number, what: string): void {
  assert.is(got.length, want.length, `${what}: length`)
  let worst = 0
  for (let i = 0; i < want.length; i++) {
    worst = Math.max(worst, Math.abs(got[i]! - want[i]!) / Math.max(1, Math.abs(want[i]!)))
  }
  assert.ok(worst <= tolerance, `${what}: differs by ${worst}, allowed ${tolerance}`)
}

async function load(backend: Backend, folder: string, inputSize?: [number, number]): Promise<Vit> {
  const checkpoint = await openCheckpoint(root + folder)
  return (await loadVit(backend, checkpoint, inputSize ? { inputSize } : {})).model
}

async function logits(model: Vit, file: SafetensorsFile, name: string): Promise<ArrayLike<number>> {
  const images = tensor(model.backend, await file.read(name), file.info(name).shape)
  const out = scope(() => model.forward(images))
  const data = await out.data()
  out.dispose()
  images.dispose()
  return data
}

/** PEFT's name of a parameter, without its prefix. */
function savedName(path: string, model: Vit): string {
  const found = /^(.*)\.adapter\.(loraA|loraB|loraBias|magnitude)$/.exec(path)
  if (!found) return huggingFaceName(path, model.config)
  const tail = {
    loraA: 'lora_A.weight',
    loraB: 'lora_B.weight',
    loraBias: 'lora_B.bias',
    magnitude: 'lora_magnitude_vector',
  }
  return `${huggingFaceName(found[1]!, model.config)}.${tail[found[2] as keyof typeof tail]}`
}

for (const [backendName, make] of backends) {
  test(`logits of every checkpoint equal PyTorch's (${backendName})`, async () => {
    const backend = await make()
    for (const family of ['checkpoints', 'timm']) {
      for (const name of folders(family)) {
        const values = await openSafetensors(`${root}${family}/${name}/values.safetensors`)
        for (const prefix of ['', 'other.'].filter((p) => values.has(`${p}pixel_values`))) {
          const [, , h, w] = values.info(`${prefix}pixel_values`).shape as [number, number, number, number]
          const model = await load(backend, `${family}/${name}`, [h, w])
          near(
            await logits(model, values, `${prefix}pixel_values`),
            await values.read(`${prefix}logits`),
            1e-5,
            `${family}/${name} ${prefix}`,
          )
          disposeModule(model)
        }
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`every gradient of one step equals PyTorch's (${backendName})`, async () => {
    const backend = await make()
    for (const name of folders('gradients')) {
      const facts = json(`gradients/${name}/values.json`)
      const values = await openSafetensors(`${root}gradients/${name}/values.safetensors`)
      const model = await load(backend, facts.base)
      if (facts.adapter) {
        const adapter = await openAdapter(`${root}gradients/${name}/${facts.adapter}`)
        if (name.includes('norm-not-detached')) adapter.config.doraNormGradient = true
        await applyAdapter(model, adapter)
      }
      const params = trainableParameters(model)
      const task = multiclass(model.config.classes)
      const pixels = await values.read('pixel_values')
      const labels = Int32Array.from(await values.read('labels'))
      const { value, grads } = valueAndGrad(
        () => {
          const images = tensor(backend, pixels, values.info('pixel_values').shape)
          const label = tensor(backend, labels, [labels.length])
          return affine(task.terms(model.forward(images, new Context(true)), { label }, true), 1 / labels.length)
        },
        params.map(([, p]) => p),
      )
      near([await value.item()], [facts.loss], 1e-5, `${name} loss`)
      value.dispose()
      const wanted = new Set(values.names().filter((n) => n.startsWith('grad.')))
      for (const [i, [path]] of params.entries()) {
        const saved = savedName(path, model)
        const key = [`grad.base_model.model.${saved}`, `grad.${saved}`].find((k) => wanted.delete(k))
        const got = await grads[i]!.data()
        grads[i]!.dispose()
        // PyTorch stores nothing for what the loss does not reach.
        if (!key) near(got, new Float32Array(got.length), 0, `${name} ${saved} without a stored gradient`)
        else near(got, await values.read(key), 1e-4, `${name} ${saved}`)
      }
      const left = [...wanted].filter((n) => !n.endsWith('mask_token'))
      assert.equal(left, [], `${name}: stored gradients that nothing here answers`)
      disposeModule(model)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

for (const [backendName, make] of backends) {
  test(`ten training losses of every method equal PyTorch's (${backendName})`, async () => {
    const backend = await make()
    for (const name of folders('losses')) {
      const facts = json(`losses/${name}/values.json`)
      const values = await openSafetensors(`${root}losses/${name}/values.safetensors`)
      const model = await load(backend, facts.base)
      if (facts.initial) await applyAdapter(model, await openAdapter(`${root}losses/${name}/${facts.initial}`))
      else if (facts.method === 'linear') freezeBackbone(model)
      else setTrainable(model, true)
      const { options, optimizer } = facts
      const accumulate = options.accumulate ?? 1
      const batches = await batchesOf(name.split('-')[0]!)
      const train = {
        batches: facts.steps * accumulate,
        async *epoch() {
          for (let i = 0; i < facts.steps * accumulate; i++) yield batches[i % batches.length]!
        },
      }
      const losses: number[] = []
      const run = fit({
        model,
        task: multiclass(model.config.classes, { labelSmoothing: options.label_smoothing ?? 0 }),
        train,
        epochs: 1,
        lr: optimizer.lr,
        optimizer: optimizer.name,
        weightDecay: optimizer.weight_decay,
        nesterov: optimizer.nesterov ?? false,
        decayVectors: optimizer.no_decay === undefined,
        schedule: options.warmup_steps ? 'cosine' : 'constant',
        warmup: options.warmup_steps ?? 0,
        clip: options.clip_grad_norm,
        accumulate,
      })
      for await (const event of run) if (event.kind === 'step') losses.push(event.loss)
      near(losses, facts.losses, 1e-4, `${name} losses`)
      for (const [path, p] of trainableParameters(model)) {
        const saved = savedName(path, model)
        const key = [`final.base_model.model.${saved}`, `final.${saved}`].find((k) => values.has(k))
        assert.ok(key, `${name}: no stored ${saved}`)
        // A key's bias moves no score, so its true gradient is 0 and AdamW follows rounding: at most lr a step.
        const tolerance = saved.endsWith('key.bias') ? optimizer.lr * facts.steps : 2e-4
        near(await p.data(), await values.read(key!), tolerance, `${name} ${saved} after training`)
      }
      disposeModule(model)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`adapters that PEFT wrote give PEFT's logits, merged and unmerged (${backendName})`, async () => {
    const backend = await make()
    for (const family of ['adapters', 'adapters-v5']) {
      for (const name of folders(family)) {
        const folder = `${family}/${name}`
        const values = await openSafetensors(`${root}${folder}/values.safetensors`)
        const model = await load(backend, json(`${folder}/values.json`).base)
        const before = countParameters(model).total
        near(await logits(model, values, 'pixel_values'), await values.read('base_logits'), 1e-5, `${folder} base`)
        const adapter = await openAdapter(root + folder)
        await applyAdapter(model, adapter)
        assert.ok(countParameters(model).total > before)
        const want = await values.read('logits')
        const got = await logits(model, values, 'pixel_values')
        near(got, want, 2e-5, folder)
        if (!adapter.config.loraBias) {
          const merged = merge(model)
          near(await logits(model, values, 'pixel_values'), want, 2e-5, `${folder} merged`)
          assert.is(countParameters(model).total, before)
          merged.unmerge()
          assert.equal(await logits(model, values, 'pixel_values'), got, `${folder} unmerged`)
        }
        disposeModule(model)
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

for (const [family, transformers] of [
  ['adapters', 4],
  ['adapters-v5', 5],
] as const) {
  test(`an adapter written for transformers ${transformers} is the file that PEFT wrote, byte for byte`, async () => {
    const backend = createReference()
    // PEFT stores what its configuration does not ask for, or halves: these come back in full and in f32.
    const other = ['vit-lora-bias-all', 'vit-lora-f16', 'vit-lora-minimal-config']
    for (const name of folders(family).filter((n) => !other.includes(n))) {
      const out = mkdtempSync(join(tmpdir(), 'vitune-'))
      const model = await load(backend, json(`${family}/${name}/values.json`).base)
      const config = await applyAdapter(model, await openAdapter(`${root}${family}/${name}`))
      await saveAdapter(model, out, config, { transformers })
      const file = 'adapter_model.safetensors'
      assert.ok(
        readFileSync(join(out, file)).equals(readFileSync(`${root}${family}/${name}/${file}`)),
        `${family}/${name}`,
      )
      rmSync(out, { recursive: true })
      disposeModule(model)
    }
    assert.is(backend.memory().buffers, 0)
  })
}

test.run()
