// How the outputs of what is open are read: in words, as chips, as scores, with the thresholds that were trained or moved since. The
// model is not asked again.
import { readLabelFacts } from '../labels/facts.ts'
import { isOneOfAll, multiclassLabels } from '../labels/labels.ts'
import { createTask } from '../tasks/registry.ts'
import type { Prediction } from '../tasks/task.ts'
import { decide } from '../use/decide.ts'
import type { Opened } from '../web/types.ts'
import { h } from './dom.ts'
import { percent } from './format.ts'
import type { ShownScores } from './scores.ts'

export interface Reading {
  /** Whether any label is there from a threshold on. */
  readonly hasThresholds: boolean
  /** Whether a threshold is not as it was trained. */
  readonly moved: boolean
  move(label: number, value: number): void
  reset(): void
  /** In words: `rose`, `face, smile`, `animal/dog`; `nothing` where no label is there. */
  text(logits: readonly number[]): string
  /** The same with scores. */
  told(logits: readonly number[]): string
  /** In short: of paths their ends. */
  short(logits: readonly number[]): string
  /** What is found, and where it is known what is there and that is something else, that. */
  verdict(logits: readonly number[], truth?: readonly string[]): Node[]
  scores(logits: readonly number[]): ShownScores
}

/** Reads what a session has open. */
export function createReading({ classes, labels }: Opened): Reading {
  const space = labels ? readLabelFacts(labels, classes, 'labels').space : multiclassLabels(classes)
  const one = createTask(space)
  const grouped = new Set(space.groups.flat())
  const trained = classes.map((_, i) => (grouped.has(i) ? undefined : (labels?.thresholds?.[i] ?? 0.5)))
  let limits = [...trained]
  const hasThresholds = limits.some((limit) => limit !== undefined)

  function read(logits: readonly number[]): Prediction {
    if (!labels || !hasThresholds) return one.predict(Float32Array.from(logits))
    return decide(
      { classes, labels },
      logits,
      limits.map((limit) => limit ?? 0.5),
    )
  }
  const nothing = 'nothing'
  // Labels by themselves each have a score of their own; one class or a path has one.
  const alone = space.groups.length === 0
  const shares = ({ labels: present, scores }: Prediction) =>
    present.map((label) => [label, percent(scores[classes.indexOf(label)]!)] as const)
  const textOf = (present: readonly string[]) => one.text(classes.filter((name) => present.includes(name)))

  return {
    hasThresholds,
    get moved() {
      return limits.some((limit, i) => limit !== trained[i])
    },
    move(label, value) {
      limits[label] = value
    },
    reset() {
      limits = [...trained]
    },
    text: (logits) => read(logits).label || nothing,
    told(logits) {
      const found = read(logits)
      if (alone)
        return (
          shares(found)
            .map(([label, share]) => `${label} ${share}`)
            .join(', ') || 'No label'
        )
      return `${found.label || nothing} ${percent(found.score)}`
    },
    short(logits) {
      const { labels: present, label } = read(logits)
      const above = new Set(present.map((name) => space.parents[classes.indexOf(name)]))
      const ends = present.filter((name) => !above.has(classes.indexOf(name)))
      const isTree = space.parents.some((parent) => parent >= 0)
      return (isTree ? ends.map((name) => name.slice(name.lastIndexOf('/') + 1)).join(', ') : label) || nothing
    },
    verdict(logits, truth) {
      const found = read(logits)
      const shown = alone
        ? shares(found).map(([label, share]) => h('span', { class: 'chip found' }, label, h('span', {}, ` ${share}`)))
        : [document.createTextNode(found.label || nothing), h('span', {}, ` ${percent(found.score)}`)]
      const wanted = truth && (isOneOfAll(space) ? truth.join(', ') : textOf(truth))
      const differs = wanted !== undefined && wanted !== found.label
      return [
        h('p', { class: alone ? 'chips' : '' }, ...(shown.length > 0 ? shown : ['No label'])),
        ...(differs ? [h('p', { class: 'truth' }, `It shows: ${wanted || nothing}`)] : []),
      ]
    },
    scores(logits) {
      const { labels: present, scores } = read(logits)
      return { classes, scores, logits, thresholds: limits, present: (label) => present.includes(label) }
    },
  }
}
