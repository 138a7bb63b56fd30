// Per-class scores as bars, best first, with the rest behind a button.
import { button, fill, h } from './dom.ts'

/** Bars that are shown at first. */
const SHOWN = 5

export interface Scores {
  readonly element: HTMLElement
  /** `logits` are the raw outputs behind the scores, shown under the pointer. */
  show(classes: readonly string[], scores: readonly number[], logits: readonly number[]): void
}

const written = (score: number) => (score >= 0.9995 ? '100 %' : `${(100 * score).toFixed(1)} %`)

/** An empty list of bars. */
export function createScores(): Scores {
  const list = h('ol', { class: 'scores', 'aria-label': 'Scores by class' })
  let all = false
  let last: Parameters<Scores['show']> = [[], [], []]
  const more = button(
    '',
    () => {
      all = !all
      show(...last)
    },
    { kind: 'link' },
  )
  const element = h('div', {}, list, more)
  function show(...given: Parameters<Scores['show']>): void {
    const [classes, scores, logits] = given
    last = given
    const order = scores
      .map((score, i) => ({ score, label: classes[i] ?? String(i), title: `logit ${logits[i]?.toFixed(5)}` }))
      .sort((a, b) => b.score - a.score)
    fill(
      list,
      ...order
        .slice(0, all ? order.length : SHOWN)
        .map(({ label, score, title }) =>
          h(
            'li',
            { class: 'score' },
            h('span', { class: 'score-label' }, label),
            h('data', { class: 'score-value', value: score, title }, written(score)),
            h('span', { class: 'score-bar', 'aria-hidden': 'true' }, h('i', { style: `width:${100 * score}%` })),
          ),
        ),
    )
    more.hidden = order.length <= SHOWN
    more.textContent = all ? 'Show fewer' : `Show all ${order.length} classes`
  }
  more.hidden = true
  return { element, show }
}
