// Which tensor of adapter_model.safetensors is what: every one has a place in the model, or is known to be a copy that nothing
// reads, or is refused. PEFT leaves the adapter's own name out of what it saves; a raw state dict keeps it.
import type { SafetensorsFile } from '../../io/safetensors.ts'
import { unwrapNames } from '../../io/wrappers.ts'
import type { Classifier } from '../../models/model-kind.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { headModules, linearLayers } from '../inject.ts'
import { everyPart } from '../registry.ts'
import { parameterNames } from '../rules.ts'
import { checkpointName, root, type Spelling, spellingsOf } from './names.ts'

export interface Places {
  /** Each adapted layer by its checkpoint name: what it is called in the file, and where its parts are by field. */
  adapted: Map<string, { stored: string; keys: Map<string, string> }>
  /** Everything else by checkpoint name: the classifier, other saved modules, biases. */
  others: Map<string, string>
  /** Two tensors for one place: the first has it, and the second must be the same. */
  twins: [string, string][]
  /** How the file calls the layers. */
  spellings: Spelling[]
}

/** A tensor's name, taken apart. */
type Parsed =
  | { kind: 'part'; layer: string; field: string; adapter: string | undefined }
  /** `names`: what it may be called in the model, the likeliest first. `copy`: PEFT does not read it. */
  | { kind: 'other'; names: string[]; wrapped?: 'own' | 'original' }

const kinds = [...new Set(everyPart.map(({ stored }) => stored))].join('|')
/** Layer, what is stored, the adapter's own name where it is kept, and what comes last. */
const partName = new RegExp(`^(.*)\\.(${kinds})(?:\\.(?!(?:weight|bias)$)([^.]+))?(?:\\.(weight|bias))?$`)

function parse(name: string): Parsed {
  const found = partName.exec(name)
  if (found) {
    const [, layer, kind, adapter, leaf] = found
    const parts = everyPart.filter(({ stored }) => stored === kind)
    const { field } = parts.find((part) => (part.leaf === 'bias') === (leaf === 'bias')) ?? parts[0]!
    return { kind: 'part', layer: layer!, field, adapter }
  }
  const wrapped = /^(.*)\.(modules_to_save|original_module)\.(.*)$/.exec(name)
  if (!wrapped) return { kind: 'other', names: [name.replace('.base_layer.', '.')] }
  const [, module, wrapper, rest] = wrapped
  // With the adapter's name before the rest, or without.
  const names = [rest!, rest!.slice(rest!.indexOf('.') + 1)].map((r) => `${module}.${r}`)
  return { kind: 'other', names, wrapped: wrapper === 'original_module' ? 'original' : 'own' }
}

/** Sorts the tensors by what they belong to. Throws an InputError on names that have no place, and where several adapters lie in one file. */
export function findPlaces(
  model: Classifier,
  { tensors, folder }: { tensors: SafetensorsFile; folder: string },
  onNote: (note: string) => void,
): Places {
  const { config } = model
  const layers = new Set(linearLayers(model).map((l) => l.name))
  const known = new Set([...parameterNames(model), ...headModules(model).flatMap((h) => [`${h}.weight`, `${h}.bias`])])
  const adapted: Places['adapted'] = new Map()
  const others: Places['others'] = new Map()
  const twins: Places['twins'] = []
  const adapters = new Set<string>()
  const strange: string[] = []
  const unread: string[] = []
  const wrapped: { name: string; key: string }[] = []
  const unwrapped = unwrapNames(tensors.names(), folder)
  if (unwrapped.note) onNote(unwrapped.note)
  for (const [plain, key] of unwrapped.stored) {
    if (!plain.startsWith(root))
      throw new InputError(`adapter: tensor names must start with ${root}, got ${key.slice(0, 80)}`)
    const stored = plain.slice(root.length)
    const found = parse(stored)
    if (/^(\w+\.)?pooler\./.test(stored)) unread.push(key)
    else if (found.kind === 'part') {
      const name = checkpointName(found.layer, config)
      if (found.adapter) adapters.add(found.adapter)
      if (!layers.has(name)) strange.push(name)
      const entry = adapted.get(name) ?? { stored: found.layer, keys: new Map<string, string>() }
      const first = entry.keys.get(found.field)
      if (first) twins.push([first, key])
      else entry.keys.set(found.field, key)
      adapted.set(name, entry)
    } else {
      const names = found.names.map((n) => checkpointName(n, config))
      const name = names.find((n) => known.has(n)) ?? names[0]!
      if (found.wrapped === 'own') wrapped.push({ name, key })
      else if (found.wrapped === undefined) {
        const first = others.get(name)
        if (first) twins.push([first, key])
        else others.set(name, key)
      }
    }
  }
  if (strange.length > 0) {
    const patches = strange.find((name) => name.endsWith('patch_embeddings.projection'))
    throw new InputError(
      patches
        ? `${folder}: adapts ${patches}, a convolution, and adapters are read for linear layers only; merge it in PEFT and take that model`
        : `${folder}: adapts ${listed([...new Set(strange)], 3)}, which this model does not have; is it for another model?`,
    )
  }
  if (adapters.size > 1)
    throw new InputError(
      `${folder}: holds the adapters ${listed([...adapters], 3)} in one file; save one of them alone`,
    )
  if (adapted.size === 0) throw new InputError(`${folder}: adapter_model.safetensors holds no LoRA weights`)
  if (unread.length > 0) onNote(`not read: ${listed(unread, 3)} (the pooler, which no classifier reads)`)
  // With bias "all" PEFT writes a wrapped module's bias three times, with the same values: under the plain name too.
  const unwrappedNames = new Set(others.keys())
  const alone = wrapped.filter(({ name }) => !unwrappedNames.has(name))
  for (const { name, key } of wrapped) {
    const first = others.get(name)
    if (first) twins.push([first, key])
    else others.set(name, key)
  }
  if (alone.length > 0)
    onNote(
      `${listed(
        alone.map(({ key }) => key),
        3,
      )}: names of a raw state dict, read as ${listed(
        alone.map((w) => w.name),
        3,
      )}`,
    )
  const stored = [...adapted.values()].map((entry) => entry.stored)
  return { adapted, others, twins, spellings: spellingsOf([...stored, ...twinLayers(twins)], config) }
}

/** The layers of twins, as the file calls them: a file for both of transformers' spellings has every layer twice. */
function twinLayers(twins: Places['twins']): string[] {
  return twins.flatMap(([, key]) => {
    const found = parse(key.slice(key.indexOf(root) + root.length))
    return found.kind === 'part' ? [found.layer] : []
  })
}
