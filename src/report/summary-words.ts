// What the numbers say, in sentences made from the numbers alone. Plain text: the page escapes it.
import { comparedAs } from '../adapters/methods.ts'
import type { ExperimentResult } from './experiment-result.ts'
import { bytes, count, list, methodName, metricName, percent, seconds, share } from './format.ts'
import { type Costs, chanceOn, costsBy, type Kind, kindsOf, type MethodSummary, summarise } from './summarise.ts'

// Gaps are between the percentages as written, so that a reader who subtracts them gets the same.
const gapOf = (a: MethodSummary, b: MethodSummary) => (Math.round(1000 * a.score) - Math.round(1000 * b.score)) / 1000
const points = (gap: number) => `${(100 * Math.abs(gap)).toFixed(1)} points`
const written = (summary: MethodSummary) => percent(summary.score, summary.spread)
const best = (summaries: MethodSummary[]) => summaries.reduce((a, b) => (b.score > a.score ? b : a))

// 'within' when the gap is no larger than both spreads together; 'unknown' where a spread is missing.
function verdict(a: MethodSummary, b: MethodSummary): 'within' | 'beyond' | 'unknown' {
  if (a.spread === undefined || b.spread === undefined) return 'unknown'
  return Math.abs(a.score - b.score) <= a.spread + b.spread ? 'within' : 'beyond'
}

function leader(summaries: MethodSummary[], where: string, metric: string): string {
  const first = best(summaries)
  const spread = first.spread === undefined ? '' : `, mean and standard deviation over ${first.seeds} seeds`
  const accurate = metric === 'accuracy'
  const name = metricName(metric)
  const ahead = accurate ? 'was the most accurate' : `had the highest ${name}`
  const opening = `${where} ${methodName(first.method)} ${ahead} (${written(first)}${spread}).`
  const others = summaries.filter((s) => s !== first)
  if (others.length === 0)
    return `${where} ${methodName(first.method)} reached ${accurate ? '' : `${name} `}${written(first)}; nothing was compared.`
  const second = best(others)
  const gap = gapOf(first, second)
  const next = `${methodName(second.method)} came next with ${written(second)}`
  if (gap === 0)
    return `${where} ${methodName(first.method)} and ${methodName(second.method)} ${accurate ? 'were equally accurate' : `had the same ${name}`} (${written(first)}${spread}).`
  if (verdict(first, second) === 'within') {
    return `${opening} ${next}; a gap of ${points(gap)} is within their spread, so these runs do not tell the two apart.`
  }
  if (verdict(first, second) === 'beyond')
    return `${opening} ${next}, ${points(gap)} behind, which is more than their spread.`
  return `${opening} ${next}, ${points(gap)} behind; with one seed there is no spread, and a small gap may be chance.`
}

function byDataset(result: ExperimentResult, { datasets }: Kind): string | undefined {
  const winners = datasets.flatMap((name) => {
    const summaries = summarise(result, name)
    return summaries.length < 2 ? [] : [{ name, ...best(summaries) }]
  })
  if (winners.length < 2) return undefined
  const methods = [...new Set(winners.map((w) => w.method))]
  const parts = winners.map(
    (w) => `${methods.length > 1 ? `${methodName(w.method)} ` : ''}on ${w.name} (${written(w)})`,
  )
  if (methods.length === 1) return `${methodName(methods[0]!)} was ahead on every data set: ${list(parts)}.`
  return `Which method was ahead depends on the data set: ${list(parts)}.`
}

const isFresh = ({ method }: MethodSummary) => comparedAs(method)?.fresh ?? false
const isFull = (s: MethodSummary) => !isFresh(s) && comparedAs(s.method)?.kind.trains === 'all'

function againstFull(summaries: MethodSummary[], metric: string): string | undefined {
  const full = summaries.find(isFull)
  const small = summaries.filter((s) => !isFresh(s) && full && s.trainable < full.trainable / 2)
  if (!full || small.length === 0) return undefined
  const top = best(small)
  const gap = gapOf(top, full)
  const words = metric === 'accuracy' ? ['more accurate', 'less accurate'] : ['higher', 'lower']
  const compared =
    gap === 0
      ? `was ${metric === 'accuracy' ? 'as accurate' : 'equal'}`
      : `was ${points(gap)} ${words[gap > 0 ? 0 : 1]}${verdict(top, full) === 'within' ? ' (within their spread)' : ''}`
  const saved = 1 - top.peakBytes / full.peakBytes
  const memory = `at ${(100 * Math.abs(saved)).toFixed(0)} % ${saved >= 0 ? 'less' : 'more'} peak memory`
  return (
    `Against full fine-tuning (${written(full)}), ${methodName(top.method)} trained ` +
    `${share(top.trainable, top.total)} of its parameters (${count(top.trainable)} of ${count(top.total)}) and ${compared}, ${memory}.`
  )
}

function againstScratch(summaries: MethodSummary[]): string | undefined {
  const scratch = summaries.find(isFresh)
  const tuned = summaries.filter((s) => !isFresh(s))
  if (!scratch || tuned.length === 0) return undefined
  // Full training differs from scratch in its start alone.
  const top = tuned.find(isFull) ?? best(tuned)
  const gap = gapOf(top, scratch)
  const facts = `${methodName(top.method)} from the pre-trained weights reached ${written(top)}, the same model from scratch ${written(scratch)}`
  if (gap === 0 || verdict(top, scratch) === 'within') return `Pre-training made no clear difference: ${facts}.`
  if (gap < 0) return `Pre-training did not help here: ${facts}, ${points(gap)} more.`
  return `Pre-training was worth ${points(gap)}: ${facts}.`
}

function costs(summaries: Costs[]): string | undefined {
  if (summaries.length < 2) return undefined
  const ranges = (['peakBytes', 'seconds'] as const).map((key) => {
    const show = (s: Costs) => (key === 'peakBytes' ? bytes(s.peakBytes) : seconds(s.seconds))
    // Whoever reads the same number belongs in the same brackets.
    const end = (at: Costs) =>
      `${show(at)} (${list(summaries.filter((s) => show(s) === show(at)).map((s) => methodName(s.method)))})`
    const sorted = [...summaries].sort((a, b) => a[key] - b[key])
    return `${end(sorted[0]!)} to ${end(sorted.at(-1)!)}`
  })
  return `Peak memory went from ${ranges[0]}, the mean time of a run from ${ranges[1]}.`
}

/** What is missing, said once for all data sets. */
function missing(result: ExperimentResult): string | undefined {
  const seeds = new Set(result.runs.map((run) => run.seed)).size
  const expected = result.methods.length * result.datasets.length * seeds
  if (result.runs.length === expected) return undefined
  return `Only ${result.runs.length} of ${expected} runs are here, so averages may not be over the same data sets and seeds.`
}

function guessing(summaries: MethodSummary[], chance: number | undefined): string | undefined {
  if (chance === undefined) return undefined
  const low = summaries.filter((s) => s.score <= chance)
  const failed = low.length > 0 ? ` ${list(low.map((s) => methodName(s.method)))} did not do better than that.` : ''
  return `Guessing a class at random would give ${percent(chance)}.${failed}`
}

/** Data sets that are all judged alike. */
function ofOneKind(result: ExperimentResult, kind: Kind): (string | undefined)[] {
  const summaries = summarise(result, kind.datasets)
  const [first, ...more] = kind.datasets
  const where = more.length === 0 ? `On ${first},` : `On average over ${kind.datasets.length} data sets,`
  return [
    leader(summaries, where, kind.metrics[0]!),
    byDataset(result, kind),
    againstFull(summaries, kind.metrics[0]!),
    againstScratch(summaries),
    costs(summaries),
    guessing(summaries, chanceOn(result, kind)),
  ]
}

const differs = (a: MethodSummary, b: MethodSummary) => {
  const gap = gapOf(a, b)
  if (gap === 0) return 'equal'
  return `${points(gap)} ${gap > 0 ? 'higher' : 'lower'}${verdict(a, b) === 'within' ? ', within their spread' : ''}`
}

/** Data sets of several tasks: scores are told by data set, since they have no mean. */
function ofSeveralKinds(result: ExperimentResult, kinds: Kind[]): (string | undefined)[] {
  const blocks = kinds.map(({ datasets, metrics: [metric] }) => {
    const summaries = summarise(result, datasets)
    return { on: `on ${list(datasets)}`, metric: metricName(metric!), summaries, top: best(summaries) }
  })
  const methods = [...new Set(blocks.map(({ top }) => top.method))]
  const ahead = blocks.map(
    ({ on, metric, top }) =>
      `${methods.length > 1 ? `${methodName(top.method)} ` : ''}${on} (${metric} ${written(top)})`,
  )
  const small = blocks.flatMap(({ on, summaries }) => {
    const full = summaries.find(isFull)
    const light = summaries.filter((s) => !isFresh(s) && full && s.trainable < full.trainable / 2)
    if (!full || light.length === 0) return []
    const top = best(light)
    const saved = 1 - top.peakBytes / full.peakBytes
    const memory = `${(100 * Math.abs(saved)).toFixed(0)} % ${saved >= 0 ? 'less' : 'more'} peak memory`
    return [
      `${methodName(top.method)} ${on} (${share(top.trainable, top.total)} of the parameters, ${differs(top, full)}, ${memory})`,
    ]
  })
  const fresh = blocks.flatMap(({ on, summaries }) => {
    const [full, scratch] = [summaries.find(isFull), summaries.find(isFresh)]
    return full && scratch ? [`${on} ${written(full)} against ${written(scratch)}`] : []
  })
  const compared = blocks.some(({ summaries }) => summaries.length > 1)
  const alone = blocks.every(({ top }) => top.spread === undefined)
  return [
    methods.length === 1
      ? `${methodName(methods[0]!)} ${compared ? 'was ahead' : 'was the only method'}: ${list(ahead)}.`
      : `Which method was ahead depends on the task: ${list(ahead)}.`,
    small.length > 0 ? `Compared with full fine-tuning: ${list(small)}.` : undefined,
    fresh.length > 0
      ? `Full from the pre-trained weights, and the same model from scratch: ${list(fresh)}.`
      : undefined,
    costs(costsBy(result)),
    alone && compared ? 'With one seed there is no spread, and a small gap may be chance.' : undefined,
    'Scores of different tasks are not comparable, so there is no average over them.',
  ]
}

/** The report's summary as sentences of plain text, most important first. Every claim is computed from `result`. */
export function summaryWords(result: ExperimentResult): string[] {
  const kinds = kindsOf(result)
  const words = kinds.length === 1 ? ofOneKind(result, kinds[0]!) : ofSeveralKinds(result, kinds)
  return [...words, missing(result)].filter((sentence) => sentence !== undefined)
}
