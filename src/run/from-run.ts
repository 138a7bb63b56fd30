// A run that begins from another: what follows for its settings, and its model as that one left it. Not here: what becomes of the
// classifier (models/head.ts), how an old model's outputs are kept (teacher.ts).
import { merge } from '../adapters/merge.ts'
import { methodOf } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { withMoreLabels } from '../data/more-labels.ts'
import type { LabelledData } from '../data/open-data.ts'
import { joinLabels, lackingIn } from '../labels/join.ts'
import { unpackModel } from '../models/packing.ts'
import { quantizeModel } from '../models/registry.ts'
import { disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { packingOf } from '../settings/quantize.ts'
import { defined, pick, type TrainSettings } from '../settings/settings.ts'
import { type OpenModel, type OpenRunOptions, openRun } from '../use/open-model.ts'
import { findRun, packingIn, readRun, runLabels } from '../use/run-file.ts'
import { lostBest } from './run-folder.ts'

/** Why a method cannot go on from what another one left, where that is so. */
function whyNot(from: string, ran: TrainSettings['peft'] & string, wanted: TrainSettings['peft'] & string) {
  const other = methodOf(wanted)
  if (wanted === ran || methodOf(ran).saves !== 'adapter' || other.saves !== 'adapter') return undefined
  return `peft: ${from} trained a ${ran} adapter, which cannot go on as ${wanted}; leave peft out, choose full or linear, or merge it (vitune merge) and give that as the model`
}

/**
 * The settings of a run that begins from another, with what follows from that one: its model, its method, its input size. Where an
 * adapter is to be put on what trained whole, the model is the other run's folder. Throws InputError where they contradict it.
 */
export async function withRun(given: TrainSettings): Promise<TrainSettings> {
  const { from } = given
  if (from === undefined) return given
  const run = await readRun(from)
  const peft = given.peft ?? run.method
  const why = whyNot(from, run.method, peft)
  if (why !== undefined) throw new InputError(why)
  if (given.model !== undefined && given.model !== run.model && given.model !== from) {
    throw new InputError(
      `model: comes from the run in ${from}, which is of ${run.model}, got ${given.model}; leave it out`,
    )
  }
  const adapts = methodOf(peft).saves === 'adapter' && methodOf(run.method).saves !== 'adapter'
  const adapted = methodOf(run.method).saves === 'adapter' && methodOf(peft).saves === 'adapter'
  const packed = adapted && given.quantize === undefined ? packingIn(run) : {}
  const own = pick(run, 'inputSize', 'interpolation')
  return { ...own, ...packed, ...defined(given), peft, model: adapts ? from : run.model }
}

/**
 * The data of a run that keeps what an old model says: labels of that one stay although no image has them. A run that goes on has
 * them in its own record.
 */
export async function withOldLabels(
  data: LabelledData,
  { from, distill = 0, out }: TrainSettings,
  resume: boolean,
): Promise<LabelledData> {
  if (from === undefined || distill === 0) return data
  const place = resume && out !== undefined ? out : from
  const before = runLabels(await readRun(place), `${place}/run.json`).space
  const all = joinLabels(data.labelSpace, before)
  if (all === data.labelSpace) return data
  const more = lackingIn(data.labelSpace, before)
  const note = `no image has ${listed(more)}, known from ${from}: kept as the model there knows ${more.length === 1 ? 'it' : 'them'}`
  return { ...withMoreLabels(data, all), notes: [...data.notes, note] }
}

/** What is opened to begin a run, or to go on with one that began so. */
export interface FromRun {
  readonly opened: OpenModel
  /** Whether the weights are those that the run began with. */
  readonly whole: boolean
  /** Whether an adapter was merged into them. */
  readonly merged: boolean
}

/**
 * The model that a run begins from. Of a run that goes on (`begun`) whose old run is gone, what it left itself so far: the checkpoint
 * has the rest. Throws InputError where neither is there.
 */
export async function openFrom(
  backend: Backend,
  { from, model, out, peft }: TrainSettings,
  options: OpenRunOptions,
  begun: boolean,
): Promise<FromRun> {
  const gone = begun && (await findRun(from!)) === undefined
  if (gone && model === from) {
    throw new InputError(`from: ${from} is gone, and the adapter of this run stands on the model in it; put it back`)
  }
  if (gone && !(await hasBest(out!))) {
    throw new InputError(
      `from: ${from} is gone, and this run has no finished epoch to go on from without it; put it back`,
    )
  }
  const place = gone ? out! : from!
  const { classes } = await readRun(place)
  const all = methodOf(peft!).trains === 'all'
  // An adapter is merged into the numbers that it was trained over, packed or not; all are f32 after that where all train.
  const opened = await openRun(backend, place, all ? { ...options, quantize: undefined } : options)
  // Rows are kept by these names, so that they must be of this classifier.
  const own = opened.model.config.classes
  if (own.length !== classes.length || own.some((name, i) => name !== classes[i])) {
    disposeModule(opened.model)
    throw new InputError(
      `from: run.json in ${place} names ${listed(classes)}, which are not the classes of the model there; put back what the run wrote`,
    )
  }
  if (gone) opened.notes.push(`${from}, which the run began from, is gone; it goes on from what it has itself`)
  if (!opened.lora && all) unpackModel(opened.model)
  if (!opened.lora || methodOf(peft!).saves === 'adapter') return { opened, whole: !gone, merged: false }
  try {
    merge(opened.model).seal()
    if (all) unpackModel(opened.model)
    const packing = packingOf(options, options.modulesToSave)
    if (packing) await quantizeModel(opened.model, packing)
  } catch (error) {
    disposeModule(opened.model)
    if (!(error instanceof InputError)) throw error
    throw new InputError(
      `peft: ${peft} begins from weights that the adapter in ${from} is merged into; ${error.message}`,
    )
  }
  const { lora: _, ...plain } = opened
  return { opened: plain, whole: true, merged: true }
}

/** Whether a run has saved an epoch. */
async function hasBest(out: string): Promise<boolean> {
  const run = await findRun(out)
  return run !== undefined && (await lostBest(out, run.method)).length === 0
}
