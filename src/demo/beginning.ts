// What training begins with: the chosen model, or a run of this page that goes on with other classes.
import type { StoredRun } from '../web/types.ts'
import type { App, State } from './app.ts'
import { field, fill, h } from './dom.ts'

export interface Beginning {
  readonly element: HTMLElement
  /** The run to begin from; undefined for the chosen model. */
  run(): StoredRun | undefined
  setDisabled(disabled: boolean): void
}

/** The choice; it is there once a run has a finished epoch. */
export function createBeginning(app: App, onChoice: () => void): Beginning {
  const select = h('select', { onchange: onChoice })
  const element = field(
    'Begin with',
    select,
    'A run brings its own model, and what it knows of classes that still have the same name.',
  )
  function render({ runs }: State): void {
    const able = runs.filter(({ accuracy }) => accuracy !== undefined)
    element.hidden = able.length === 0
    const names = JSON.stringify(able.map(({ name }) => name))
    if (select.dataset.names === names) return
    select.dataset.names = names
    const was = select.value
    const option = (value: string, title: string) => h('option', { value }, title)
    fill(select, option('', 'The model'), ...able.map(({ name }) => option(name, `The run ${name}`)))
    select.value = able.some(({ name }) => name === was) ? was : ''
  }
  app.onChange(render)
  render(app.state)
  return {
    element,
    run: () => app.state.runs.find(({ name }) => name === select.value),
    setDisabled(disabled) {
      select.disabled = disabled
    },
  }
}
