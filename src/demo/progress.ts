// A bar with a sentence beside it, for everything that takes a while.
import { button, h, newId, setText } from './dom.ts'

/** A bar that is hidden until it is shown. */
export interface Bar {
  readonly element: HTMLElement
  /** `part` in [0, 1], or undefined while it cannot be known. */
  show(text: string, part?: number): void
  hide(): void
}

/** A bar; with `onCancel` it has a button that ends what it shows. */
export function createBar(onCancel?: () => void): Bar {
  const text = h('span', { id: newId() })
  const bar = h('progress', { max: 1, 'aria-labelledby': text.id })
  const element = h(
    'div',
    { class: 'working', hidden: true },
    h('div', { class: 'working-text' }, text, onCancel && button('Cancel', onCancel, { kind: 'link' })),
    bar,
  )
  return {
    element,
    show(sentence, part) {
      element.hidden = false
      setText(text, sentence)
      if (part === undefined) bar.removeAttribute('value')
      else bar.value = part
    },
    hide() {
      element.hidden = true
    },
  }
}
