// What PEFT calls the layers of a Vit: the names in memory of transformers 4, which checkpoints keep, or those of transformers 5,
// of the classification class or of the bare model in it.
import type { VitConfig } from '../models/vit-config.ts'

/** What every tensor name in an adapter begins with. */
export const root = 'base_model.model.'

/** Names of transformers 5 in the classic spelling that checkpoints keep. */
function classicName(name: string, config: VitConfig): string {
  const plain = config.family === 'vit' || config.family === 'deit'
  const old = name
    .replace(/^(vit|deit)\.layers\./, '$1.encoder.layer.')
    .replace(
      /\.attention\.([qkv])_proj\b/,
      (_, l: 'q' | 'k' | 'v') => `.attention.attention.${{ q: 'query', k: 'key', v: 'value' }[l]}`,
    )
    .replace(/\.attention\.o_proj\b/, '.attention.output.dense')
  return plain
    ? old
        .replace(/(layer\.\d+)\.mlp\.fc1\b/, '$1.intermediate.dense')
        .replace(/(layer\.\d+)\.mlp\.fc2\b/, '$1.output.dense')
    : old
}

/** The reverse: what transformers 5 calls a module. */
export function modernName(name: string, config: VitConfig): string {
  const plain = config.family === 'vit' || config.family === 'deit'
  const found = plain
    ? name
        .replace(/^(vit|deit)\.encoder\.layer\./, '$1.layers.')
        .replace(/(layers\.\d+)\.intermediate\.dense\b/, '$1.mlp.fc1')
        .replace(/(layers\.\d+)\.output\.dense\b/, '$1.mlp.fc2')
    : name
  return found
    .replace(/\.attention\.attention\.(query|key|value)\b/, (_, l: string) => `.attention.${l[0]}_proj`)
    .replace(/\.attention\.output\.dense\b/, '.attention.o_proj')
}

/** One way to call the layers. */
export interface Spelling {
  readonly modern: boolean
  /** Without the name that the model has inside its classification class. */
  readonly bare: boolean
}

export const classic: Spelling = { modern: false, bare: false }

/** A checkpoint name in that spelling. */
export function spelt(name: string, { modern, bare }: Spelling, config: VitConfig): string {
  const found = modern ? modernName(name, config) : name
  return bare && found.startsWith(`${config.family}.`) ? found.slice(config.family.length + 1) : found
}

const isBare = (stored: string, config: VitConfig): boolean =>
  !stored.startsWith(`${config.family}.`) && !/^(classifier|cls_classifier|distillation_classifier)(\.|$)/.test(stored)

/** A stored name (without `root`) as the checkpoint calls it. */
export function checkpointName(stored: string, config: VitConfig): string {
  return classicName(isBare(stored, config) ? `${config.family}.${stored}` : stored, config)
}

/** The spellings that stored names are in: one, mostly; both of transformers' in files that are made for either. */
export function spellingsOf(stored: Iterable<string>, config: VitConfig): Spelling[] {
  const found = new Map<string, Spelling>()
  for (const name of stored) {
    const own = checkpointName(name, config)
    const bare = isBare(name, config)
    for (const modern of [false, true]) {
      // A name that is the same in both tells nothing.
      if (modernName(own, config) !== own && spelt(own, { modern, bare }, config) === name)
        found.set(`${modern} ${bare}`, { modern, bare })
    }
  }
  return found.size > 0 ? [...found.values()] : [classic]
}
