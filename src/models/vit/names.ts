// The names of a Vit's weights in Hugging Face and timm checkpoints. Only loading, saving and adapters use them.

import type { VitConfig } from './config.ts'
import { vitFamily } from './families.ts'

/** The name that the base model has inside Hugging Face's classification class ('vit', 'dinov2', ...). */
export function baseName(config: VitConfig): string {
  return config.family
}

/** The class of Hugging Face's library that reads this model. */
export function architectureOf(config: VitConfig): string {
  const { architecture, teacher } = vitFamily(config)
  return config.pooling === 'distilled' ? (teacher ?? architecture) : architecture
}

/** Whether one of our names is the classifier's, or of something in it. */
export const isHead = (name: string): boolean => /^(head|distillationHead)(\.|$)/.test(name)

/** Checkpoint names of the classifier modules, PEFT's usual modules_to_save. */
export function headModules(config: VitConfig): string[] {
  return config.pooling === 'distilled' ? ['cls_classifier', 'distillation_classifier'] : ['classifier']
}

/** Whether a checkpoint name is a classifier's, of any of these models. */
export const isHeadModule = (name: string): boolean =>
  /^(classifier|cls_classifier|distillation_classifier)(\.|$)/.test(name)

/**
 * Our name of a module or parameter ('blocks.0.attention.query', 'positions') in Hugging Face's classification class
 * ('vit.encoder.layer.0.attention.attention.query'). Names below a known one keep their tail ('.weight').
 */
export function huggingFaceName(name: string, config: VitConfig): string {
  const base = baseName(config)
  const teacher = config.pooling === 'distilled'
  const top: [RegExp, string][] = [
    [/^patch\b/, `${base}.embeddings.patch_embeddings.projection`],
    [/^classToken$/, `${base}.embeddings.cls_token`],
    [/^distillationToken$/, `${base}.embeddings.distillation_token`],
    [/^registerTokens$/, `${base}.embeddings.register_tokens`],
    [/^positions$/, `${base}.embeddings.position_embeddings`],
    [/^norm\b/, `${base}.layernorm`],
    [/^head\b/, teacher ? 'cls_classifier' : 'classifier'],
    [/^distillationHead\b/, 'distillation_classifier'],
  ]
  for (const [pattern, to] of top) if (pattern.test(name)) return name.replace(pattern, to)
  const found = /^blocks\.(\d+)\.(.*)$/.exec(name)
  if (!found) throw new Error(`names: no Hugging Face name for ${name}`)
  const { words } = vitFamily(config)
  const tail = found[2]!
    .replace(/^norm1\b/, words.norm1)
    .replace(/^norm2\b/, words.norm2)
    .replace(/^attention\.(query|key|value)\b/, 'attention.attention.$1')
    .replace(/^attention\.output\b/, 'attention.output.dense')
    .replace(/^scale([12])$/, 'layer_scale$1.lambda1')
    .replace(/^mlp\.fc1\b/, config.swiglu ? 'mlp.weights_in' : words['mlp.fc1'])
    .replace(/^mlp\.fc2\b/, config.swiglu ? 'mlp.weights_out' : words['mlp.fc2'])
  return `${base}.encoder.layer.${found[1]}.${tail}`
}

/** Our name of a parameter in timm's VisionTransformer; query, key and value are thirds of the fused 'attn.qkv'. */
export function timmName(name: string): { name: string; third?: 0 | 1 | 2 } {
  const top: Record<string, string> = {
    classToken: 'cls_token',
    distillationToken: 'dist_token',
    registerTokens: 'reg_token',
    positions: 'pos_embed',
  }
  if (top[name]) return { name: top[name] }
  const qkv = /^(blocks\.\d+)\.attention\.(query|key|value)\.(.*)$/.exec(name)
  if (qkv) {
    const third = { query: 0, key: 1, value: 2 }[qkv[2] as 'query' | 'key' | 'value'] as 0 | 1 | 2
    return { name: `${qkv[1]}.attn.qkv.${qkv[3]}`, third }
  }
  return {
    name: name
      .replace(/^patch\b/, 'patch_embed.proj')
      .replace(/^distillationHead\b/, 'head_dist')
      .replace(/\.attention\.output\b/, '.attn.proj')
      .replace(/\.scale([12])$/, '.ls$1.gamma'),
  }
}

/** The shape that a checkpoint stores for our parameter. */
export function storedShape(name: string, shape: readonly number[], config: VitConfig): number[] {
  if (name === 'patch.weight') return [shape[0]!, config.channels, config.patchSize, config.patchSize]
  if (/^(classToken|distillationToken|registerTokens|positions)$/.test(name)) return [1, ...shape]
  return [...shape]
}

/** Names of transformers 5 in the classic spelling that checkpoints keep. */
export function classicName(name: string, config: VitConfig): string {
  const old = name
    .replace(/^(vit|deit)\.layers\./, '$1.encoder.layer.')
    .replace(
      /\.attention\.([qkv])_proj\b/,
      (_, l: 'q' | 'k' | 'v') => `.attention.attention.${{ q: 'query', k: 'key', v: 'value' }[l]}`,
    )
    .replace(/\.attention\.o_proj\b/, '.attention.output.dense')
  return vitFamily(config).respelt
    ? old
        .replace(/(layer\.\d+)\.mlp\.fc1\b/, '$1.intermediate.dense')
        .replace(/(layer\.\d+)\.mlp\.fc2\b/, '$1.output.dense')
    : old
}

/** The reverse: what transformers 5 calls a module. */
export function modernName(name: string, config: VitConfig): string {
  const found = vitFamily(config).respelt
    ? name
        .replace(/^(vit|deit)\.encoder\.layer\./, '$1.layers.')
        .replace(/(layers\.\d+)\.intermediate\.dense\b/, '$1.mlp.fc1')
        .replace(/(layers\.\d+)\.output\.dense\b/, '$1.mlp.fc2')
    : name
  return found
    .replace(/\.attention\.attention\.(query|key|value)\b/, (_, l: string) => `.attention.${l[0]}_proj`)
    .replace(/\.attention\.output\.dense\b/, '.attention.o_proj')
}
