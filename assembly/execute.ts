// One command: picks the kernel by its place in the table of src/backend/kernels.ts.
import { adamw, clipNorm, sgd } from './adamw'
import { attention, attentionGrad } from './attention'
import { copy } from './copy'
import { binary, fill, unary, unaryGrad } from './elementwise'
import { gather, scatterAdd } from './gather'
import { layerNorm, layerNormGrad } from './layer-norm'
import { crossEntropy, crossEntropyGrad } from './loss'
import { matmul } from './matmul'
import { matmulI8 } from './matmul-i8'
import { quantizeRows } from './quantize'
import { dropout } from './random'
import { int } from './record'
import { reduce } from './reduce'
import { softmax, softmaxGrad } from './softmax'
import { unpack } from './unpack'

/** Runs share `thread` of `threads` of the command at `record`. */
export function execute(record: usize, thread: i32, threads: i32): void {
  switch (int(record, 0)) {
    case 0:
      return fill(record, thread, threads)
    case 1:
      return copy(record, thread, threads)
    case 2:
      return unary(record, thread, threads)
    case 3:
      return unaryGrad(record, thread, threads)
    case 4:
      return binary(record, thread, threads)
    case 5:
      return reduce(record, thread, threads)
    case 6:
      return matmul(record, thread, threads)
    case 7:
      return softmax(record, thread, threads)
    case 8:
      return softmaxGrad(record, thread, threads)
    case 9:
      return layerNorm(record, thread, threads)
    case 10:
      return layerNormGrad(record, thread, threads)
    case 11:
      return crossEntropy(record, thread, threads)
    case 12:
      return crossEntropyGrad(record, thread, threads)
    case 13:
      return gather(record, thread, threads)
    case 14:
      return scatterAdd(record, thread, threads)
    case 15:
      return dropout(record, thread, threads)
    case 16:
      return attention(record, thread, threads)
    case 17:
      return attentionGrad(record, thread, threads)
    case 18:
      return adamw(record, thread, threads)
    case 19:
      return sgd(record, thread, threads)
    case 20:
      return clipNorm(record, thread, threads)
    case 21:
      return quantizeRows(record, thread, threads)
    case 22:
      return matmulI8(record, thread, threads)
    case 23:
      return unpack(record, thread, threads)
    default:
      unreachable()
  }
}
