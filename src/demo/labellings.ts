// The three ways to label pictures in the page's words, and the choice among them while a set has no pictures.
import type { Labelling } from '../labels/labelling.ts'
import { type App, currentDataset, type State } from './app.ts'
import { h } from './dom.ts'

interface Words {
  readonly title: string
  /** Of what dropped folders become. */
  readonly hint: string
  /** What one of its names is called, and several. */
  readonly one: string
  readonly many: string
  /** What follows that in a sum. */
  readonly where: string
}

export const labellingWords: Readonly<Record<Labelling, Words>> = {
  classes: {
    title: 'One class each',
    hint: 'Each folder is a class, with all that is in it.',
    one: 'class',
    many: 'classes',
    where: '',
  },
  labels: {
    title: 'Several labels',
    hint: 'Label pictures here, or drop a table (.csv, .jsonl) with them.',
    one: 'label',
    many: 'labels',
    where: '',
  },
  tree: {
    title: 'A tree',
    hint: 'Folders in folders are kinds: animal/dog is a kind of animal.',
    one: 'class',
    many: 'classes',
    where: ' in a tree',
  },
}

/** The choice; gone once the set has pictures, whose kind is then said in words. */
export function createLabellingChoice(app: App): { readonly element: HTMLElement; render(state: State): void } {
  const radios = (Object.entries(labellingWords) as [Labelling, Words][]).map(([value, { title }]) => {
    const input = h('input', {
      type: 'radio',
      name: 'labelling',
      value,
      onchange: () => app.set({ labelling: value }),
    })
    return { value, input, label: h('label', {}, input, h('span', {}, title)) }
  })
  const element = h(
    'fieldset',
    { class: 'bare labelling' },
    h('legend', {}, 'What each picture has'),
    h('div', { class: 'segments' }, ...radios.map(({ label }) => label)),
  )
  return {
    element,
    render(state) {
      const { labelling, images } = currentDataset(state)
      element.hidden = images > 0
      for (const { value, input } of radios) input.checked = value === labelling
    },
  }
}
