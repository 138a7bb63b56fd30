// An adapter folder as PEFT or vitune wrote it, opened. Not here: putting it on a model (read.ts).
import { adapterFiles, checkpointFiles } from '../../io/checkpoint.ts'
import { readJsonObject } from '../../io/json.ts'
import { localFiles } from '../../io/local-files.ts'
import { openSafetensors, type SafetensorsFile } from '../../io/safetensors.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import type { AnyAdapterConfig } from '../registry.ts'
import { layerRules } from '../rules.ts'
import { parseAdapterConfig, unknownFields } from './config.ts'

/** An adapter folder, opened and checked; its tensors are read when it is applied. */
export interface Adapter {
  readonly folder: string
  readonly config: AnyAdapterConfig
  /** Class names, where vitune wrote the folder. */
  readonly classes: string[] | undefined
  /** What the outputs are, as vitune wrote it. */
  readonly labels: unknown
  readonly baseModel: string | undefined
  /** The fingerprint of the base's weights, where vitune wrote the folder. */
  readonly baseWeights: string | undefined
  /** Hugging Face's model_type of the base, where the adapter says it. */
  readonly family: string | undefined
  readonly tensors: SafetensorsFile
  /** Sentences on what its settings hold and nobody reads. */
  readonly notes: readonly string[]
}

const { config: settingsFile, weights: weightsFile } = adapterFiles

/** Throws unless the folder has both files, saying what it is instead. */
async function checkFolder(folder: string): Promise<void> {
  const files = localFiles(folder)
  const has = async (...path: string[]) => (await files.kind(files.join(folder, ...path))) === 'file'
  const absent: string[] = []
  for (const name of [settingsFile, weightsFile]) if (!(await has(name))) absent.push(name)
  if (absent.length === 0) return
  const refuse = (got: string): never => {
    throw new InputError(`${folder}: an adapter folder must have ${settingsFile} and ${weightsFile}, got ${got}`)
  }
  const kind = await files.kind(folder)
  if (kind === undefined) refuse('nothing there')
  if (kind === 'file') refuse('a file; give the folder that it lies in')
  if (await has('adapter_model.bin')) {
    refuse('adapter_model.bin, a pickle; load it in PEFT and save it again, which writes safetensors')
  }
  if (absent.includes(settingsFile)) {
    // PEFT writes an adapter of another name than "default" into a folder of that name; a Trainer into checkpoint-500.
    for (const name of await files.list(folder)) {
      if (name.endsWith('/') && (await has(name.slice(0, -1), settingsFile))) {
        refuse(`one in the folder ${name.slice(0, -1)} inside; give ${files.join(folder, name.slice(0, -1))}`)
      }
    }
    if (await has(checkpointFiles.weights)) refuse('a whole model; give it as the model, without an adapter')
  }
  refuse(`no ${absent[0]}`)
}

/** Opens an adapter folder that PEFT or vitune wrote. Throws InputError saying what is wrong with it. */
export async function openAdapter(folder: string): Promise<Adapter> {
  if (typeof folder !== 'string' || folder === '') throw new InputError('adapter: must be an adapter folder, got none')
  await checkFolder(folder)
  const files = localFiles(folder)
  const json = await readJsonObject(files.join(folder, settingsFile))
  const config = parseAdapterConfig(json)
  // Refuses expressions that are none, or too many.
  layerRules(config)
  const runPath = files.join(folder, adapterFiles.run)
  const run = (await files.kind(runPath)) === 'file' ? await readJsonObject(runPath) : {}
  const classes = run.classes ?? undefined
  if (classes !== undefined && !(Array.isArray(classes) && classes.every((c) => typeof c === 'string'))) {
    throw new InputError(`${runPath}: classes must be a list of names, got ${JSON.stringify(classes).slice(0, 80)}`)
  }
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
  const mapping = json.auto_mapping as Record<string, unknown> | null | undefined
  const strange = unknownFields(json)
  return {
    folder,
    config,
    classes,
    labels: run.labels ?? undefined,
    baseModel: text(json.base_model_name_or_path),
    baseWeights: text((run.fingerprint as Record<string, unknown> | undefined)?.weights),
    family: /^transformers\.models\.(\w+)\./.exec(text(mapping?.parent_library) ?? '')?.[1],
    tensors: await openSafetensors(files.join(folder, weightsFile)),
    notes:
      strange.length > 0
        ? [`${settingsFile}: ${listed(strange, 3)} is not known here or to PEFT 0.21, and left out`]
        : [],
  }
}
