// The optimizer of a run: what decays, and which rates go by depth.
import type { Model } from '../nn/model.ts'
import { namedParameters } from '../nn/module.ts'
import { adamw } from '../optim/adamw.ts'
import { decayGroups, isVector, type Optimizer, scaledGroups } from '../optim/optimizer.ts'
import { sgd } from '../optim/sgd.ts'
import { InputError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import type { Parameter } from '../tensor/tensor.ts'
import type { FitOptions } from './fit-options.ts'

/**
 * What the rate of each parameter is multiplied by: decay ^ (deepest - depth), as in BEiT (arXiv:2106.08254, optim_factory.py).
 * Throws InputError on a model that knows no depths.
 */
function scalesByDepth(model: Model, decay: number): (name: string) => number {
  if (!model.depthOf) throw new InputError('layerDecay: needs a model that knows how deep its layers lie; leave it out')
  const depths = new Map(Array.from(namedParameters(model), ([name]) => [name, model.depthOf!(name)]))
  const deepest = Math.max(...depths.values())
  // Products rather than a power, whose last digit engines may differ in.
  const scales = [1]
  while (scales.length <= deepest) scales.push(scales.at(-1)! * decay)
  return (name) => scales[deepest - depths.get(name)!]!
}

/** The optimizer that the options ask for, on these parameters. */
export function makeOptimizer(options: FitOptions, params: readonly [string, Parameter][]): Optimizer {
  const { optimizer = defaults.optimizer, nesterov = false, layerDecay = defaults.layerDecay } = options
  if (typeof optimizer === 'function') return optimizer(params)
  const groups = decayGroups(
    params,
    options.weightDecay ?? defaults.weightDecay,
    options.decayVectors === false ? isVector : undefined,
  )
  const scaled = layerDecay === 1 ? groups : scaledGroups(groups, scalesByDepth(options.model, layerDecay))
  return optimizer === 'sgd' ? sgd(scaled, { nesterov }) : adamw(scaled)
}
