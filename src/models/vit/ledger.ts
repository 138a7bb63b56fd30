// What a checkpoint holds over what its model needs: known to be harmless, or refused with what it usually means.
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'

/** Tensors that change nothing a classifier says, and why. */
const harmless: readonly [RegExp, string][] = [
  [/(^|\.)mask_token$/, 'hides patches in pre-training'],
  [/(^|\.)pooler\.dense\.(weight|bias)$/, 'the pooler, which no classifier reads'],
  [/(^|\.)position_ids$/, 'a buffer'],
  [/(^|\.)decoder\.0\.(weight|bias)$/, 'the head that fills in hidden patches'],
]

/** What tensors of other models mean, by their names. */
const meanings: readonly [RegExp, string][] = [
  [/absmax|quant_map|quant_state|\.SCB$|weight_format|qweight|qzeros|weight_scale|\.scales?$/, 'quantised weights'],
  [/lora_|\.base_layer\.|modules_to_save/, "an adapter's weights; give them as an adapter"],
  [/norm_pre|pre_?layer_?norm|ln_pre/, 'a norm before the blocks, as CLIP has it'],
  [/\.(q|k|query|key)_?(norm|layernorm)\b/, 'normalised queries and keys'],
  [/fc1_[gx]|\.w(12|[123])\b|gate|\.mlp\.norm\b/, 'a gated or normalised MLP'],
  [/reg(ister)?_tokens?$/, 'register tokens, which this architecture has not'],
  [/fc_norm/, 'the mean of the patches instead of the class token'],
  [/attn_pool|attention_pool|\.probe$|^map_head/, 'pooling by attention'],
  [/rope|freqs|rel(ative)?_pos/, 'positions of another kind'],
  [/layer_scale|gamma_?[12]|\.ls[12]\.|lambda1?$/, 'LayerScale, which this architecture has not'],
  [/lambda_[qk]/, 'differential attention'],
  [/dist(illation)?_token/, 'a distillation token, which this architecture has not'],
  [/pre_logits/, 'a layer between features and classifier'],
  [/\.attn\.norm\b/, 'a norm inside attention'],
  [/exp_avg|optimizer|momentum/, 'the state of an optimizer'],
  [/head|classifier|\bfc\b/, 'a classifier of another make'],
  [/^(blocks|.*encoder\.layer)\.\d+\./, 'more in its blocks than this architecture has'],
]

const meaningOf = (name: string): string | undefined => meanings.find(([pattern]) => pattern.test(name))?.[1]

/** Sentences on tensors that are left out. Throws an InputError where one is not known to be harmless. */
export function leftOver(folder: string, found: readonly string[]): string[] {
  const names = [...found].sort()
  const why = (name: string) => harmless.find(([pattern]) => pattern.test(name))?.[1]
  const unread = names.filter((name) => why(name) === undefined)
  if (unread.length > 0) {
    const known = unread.find((name) => meaningOf(name) !== undefined)
    const first = known === undefined ? unread : [known, ...unread.filter((name) => name !== known)]
    const means = known === undefined ? '' : ` (${meaningOf(known)})`
    throw new InputError(
      `${folder}: holds ${unread.length === 1 ? 'a tensor' : `${unread.length} tensors`} that this model would leave unread: ` +
        `${listed(first, 3)}${means}; use a checkpoint of a plain ViT, DeiT or DINOv2`,
    )
  }
  const reasons = new Map<string, string[]>()
  for (const name of names) reasons.set(why(name)!, [...(reasons.get(why(name)!) ?? []), name])
  return [...reasons].map(([reason, of]) => `not read: ${listed(of, 3)} (${reason})`)
}
