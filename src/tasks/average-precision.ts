// How well scores order what is there before what is not. Two numbers that differ in how equal scores count.

/** Places of `scores`, the largest first; among equals the later one first, as numpy's reversed stable argsort has them. */
const ranking = (scores: readonly number[]): number[] =>
  scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || b - a)

/**
 * The mean over what is there of the precision down to it, as OTX and getitune compute it: the sum divided by
 * (number + 1e-8), so 0 where nothing is there. Equal scores stand in an order that means nothing: here the later first.
 */
export function rankedPrecision(scores: readonly number[], there: readonly boolean[]): number {
  let [found, total] = [0, 0]
  ranking(scores).forEach((i, before) => {
    if (there[i]) total += ++found / (before + 1)
  })
  return total / (found + 1e-8)
}

/**
 * Average precision as scikit-learn and torchmetrics define it: precisions weighted by the recall that each distinct score
 * adds, so that equal scores count together. Undefined where nothing is there.
 */
export function averagePrecision(scores: readonly number[], there: readonly boolean[]): number | undefined {
  const order = ranking(scores)
  let [found, counted, total] = [0, 0, 0]
  order.forEach((i, before) => {
    if (there[i]) found++
    if (before + 1 < order.length && scores[order[before + 1]!] === scores[i]) return
    total += ((found - counted) * found) / (before + 1)
    counted = found
  })
  return found > 0 ? total / found : undefined
}

/** How far a score is from a half; a billionth is rounding. */
const fromHalf = (score: number) => Math.round(Math.abs(score - 0.5) * 1e9)

/**
 * The threshold from which on a score means that something is there, with the best F1 on these. It lies half-way between two
 * scores, or is 0.5 where that cuts alike; among equals the nearest to 0.5, then the lower. 0.5 where nothing is there.
 */
export function bestThreshold(scores: readonly number[], there: readonly boolean[]): number {
  const order = ranking(scores)
  const all = there.filter(Boolean).length
  let [found, best, threshold] = [0, 0, 0.5]
  order.forEach((i, before) => {
    if (there[i]) found++
    const [score, next] = [scores[i]!, before + 1 < order.length ? scores[order[before + 1]!]! : 0]
    if (score === next && before + 1 < order.length) return
    // Half-way between neighbours among the numbers that there are is one of the two.
    const middle = (score + next) / 2 > next ? (score + next) / 2 : score
    const cut = 0.5 > next && 0.5 <= score ? 0.5 : middle
    const f1 = (2 * found) / (before + 1 + all)
    // Cuts go down, so of those that are as near the lower one stays.
    if (f1 > best || (f1 === best && fromHalf(cut) <= fromHalf(threshold))) {
      best = f1
      threshold = cut
    }
  })
  return threshold
}
