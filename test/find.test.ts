// vitune find: models, recipes and methods as a table and as JSON, and that what the list of models says is so.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from 'vitune/adapters'
import type { Backend } from '../src/backend/backend.ts'
import { createPlanner } from '../src/backend/wasm/planner.ts'
import { knownModels } from '../src/models/known.ts'
import { buildModel, families, parseModelConfig } from '../src/models/registry.ts'
import { zeros } from '../src/nn/layers.ts'
import { countParameters } from '../src/nn/module.ts'
import { recipeNames } from '../src/settings/settings.ts'
import { output, refusal } from './cli-tools.ts'

test('it lists models, recipes and methods, together or one of them, for people and for pipes', async () => {
  const all = await output('find')
  for (const name of [...knownModels.map(({ name }) => name), ...recipeNames, ...methods])
    assert.ok(all.includes(`\n${name} `), name)
  const json = JSON.parse(await output('find', '--json'))
  assert.equal(json.models, [...knownModels])
  assert.equal(json.families, [...families])
  assert.equal(
    json.recipes.map(({ name }: { name: string }) => name),
    [...recipeNames],
  )
  assert.ok(json.recipes.every(({ settings }: { settings: object }) => Object.keys(settings).length > 0))
  const alone = JSON.parse(await output('find', 'methods', '--json'))
  assert.equal(Object.keys(alone), ['methods'])
  assert.equal(
    alone.methods.map(({ name }: { name: string }) => name),
    [...methods],
  )
  assert.ok(
    alone.methods.every(({ lr, saves }: { lr: number; saves: string }) => lr > 0 && /^(adapter|model)$/.test(saves)),
  )
  assert.match(await refusal('find', 'nothing'), /models, recipes, methods/)
})

test('the models of the list have the parameters that it says, and families that load', () => {
  for (const { name, family, width, depth, patch, input, parameters } of knownModels) {
    const dino = name.includes('dinov2')
    const count = (layers: number) => {
      const config = parseModelConfig({
        model_type: family,
        ...{
          hidden_size: width,
          num_hidden_layers: layers,
          num_attention_heads: width / 64,
          intermediate_size: 4 * width,
        },
        // DINOv2's positions are those of 518 px; its largest has another MLP.
        ...{
          image_size: dino ? 518 : input,
          patch_size: patch,
          num_channels: 3,
          mlp_ratio: 4,
          use_swiglu_ffn: width === 1536,
        },
        ...(family.endsWith('registers') ? { num_register_tokens: 4 } : {}),
      })
      return countParameters(buildModel(createPlanner() as Backend, config, zeros)).total
    }
    // All blocks are alike.
    const [one, two] = [count(1), count(2)]
    assert.is(one + (depth - 1) * (two - one), parameters, name)
  }
})

test.run()
