// Scores as bars, best first, with the rest behind a button. Where a label is there from a threshold on, that is a handle on its bar.
import { button, fill, h, setText } from './dom.ts'

/** Bars that are shown at first. */
const SHOWN = 5

/** What is shown of one picture. */
export interface ShownScores {
  readonly classes: readonly string[]
  readonly scores: readonly number[]
  /** The raw outputs behind the scores, shown under the pointer. */
  readonly logits: readonly number[]
  /** By class, undefined where a class has none. */
  readonly thresholds: readonly (number | undefined)[]
  readonly present: (label: string) => boolean
}

export interface Scores {
  readonly element: HTMLElement
  show(shown: ShownScores): void
  /** Other thresholds for what is shown: the bars stay where they are. */
  update(shown: ShownScores): void
}

const written = (score: number) => (score >= 0.9995 ? '100 %' : `${(100 * score).toFixed(1)} %`)

/** An empty list of bars; `onThreshold` is called while a handle is moved. */
export function createScores(onThreshold: (label: number, value: number) => void): Scores {
  const list = h('ol', { class: 'scores', 'aria-label': 'Scores by class' })
  let all = false
  let last: ShownScores | undefined
  /** What is done to each bar where thresholds change. */
  let updates: ((shown: ShownScores) => void)[] = []
  const more = button(
    '',
    () => {
      all = !all
      if (last) show(last)
    },
    { kind: 'link' },
  )
  const element = h('div', {}, list, more)

  function bar(i: number, { classes, scores, logits, thresholds }: ShownScores): HTMLElement {
    const [label, score] = [classes[i] ?? String(i), scores[i]!]
    const track = h('span', { class: 'score-bar', 'aria-hidden': 'true' }, h('i', { style: `width:${100 * score}%` }))
    const slider =
      thresholds[i] !== undefined &&
      h('input', {
        type: 'range',
        min: 0,
        max: 1,
        step: 0.01,
        'aria-label': `Threshold of ${label}`,
        oninput: (event: Event) => onThreshold(i, Number((event.target as HTMLInputElement).value)),
      })
    const row = h(
      'li',
      { class: slider ? 'score with-threshold' : 'score' },
      h('span', { class: 'score-label' }, label),
      h('data', { class: 'score-value', value: score, title: `logit ${logits[i]?.toFixed(5)}` }, written(score)),
      h('span', { class: 'score-track' }, track, slider),
    )
    updates.push((shown) => {
      const there = shown.present(label)
      row.classList.toggle('there', there)
      if (!slider) return
      slider.value = String(shown.thresholds[i])
      slider.setAttribute('aria-valuetext', `${slider.value}: ${there ? 'there' : 'not there'} at ${written(score)}`)
    })
    return row
  }

  function update(shown: ShownScores): void {
    last = shown
    for (const one of updates) one(shown)
  }
  function show(shown: ShownScores): void {
    updates = []
    const order = [...shown.scores.keys()].sort((a, b) => shown.scores[b]! - shown.scores[a]!)
    fill(list, ...order.slice(0, all ? order.length : SHOWN).map((i) => bar(i, shown)))
    more.hidden = order.length <= SHOWN
    setText(more, all ? 'Show fewer' : `Show all ${order.length} ${order.length === 1 ? 'class' : 'classes'}`)
    update(shown)
  }
  more.hidden = true
  return { element, show, update }
}
