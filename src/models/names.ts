// The names of a Vit's weights in Hugging Face and timm checkpoints. Only loading, saving and adapters use them.
import type { VitConfig } from './vit-config.ts'

export type Dialect = 'huggingface' | 'timm'

const inBlock = {
  vit: {
    norm1: 'layernorm_before',
    norm2: 'layernorm_after',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
  },
  dinov2: { norm1: 'norm1', norm2: 'norm2', 'mlp.fc1': 'mlp.fc1', 'mlp.fc2': 'mlp.fc2' },
} as const

/** The name that the base model has inside Hugging Face's classification class ('vit', 'dinov2', ...). */
export function baseName(config: VitConfig): string {
  return config.family
}

/**
 * Our name of a module or parameter ('blocks.0.attention.query', 'positions') in Hugging Face's classification class
 * ('vit.encoder.layer.0.attention.attention.query'). Names below a known one keep their tail ('.weight', '.loraA').
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
  const words = config.family.startsWith('dinov2') ? inBlock.dinov2 : inBlock.vit
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
