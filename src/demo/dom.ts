// Small helpers around the DOM: elements, icons, messages. Not here: anything about training.

type Child = Node | string | undefined | false
type Props = Readonly<Record<string, unknown>>

/** An element with attributes, listeners (`onclick` and the like) and children; undefined and false are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false))
  return element
}

// 24 x 24, drawn with lines.
const paths = {
  add: 'M12 5v14M5 12h14',
  camera: 'M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7',
  remove: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5',
  close: 'M6 6l12 12M18 6L6 18',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  upload: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  play: 'M8 5l11 7-11 7z',
  stop: 'M7 7h10v10H7z',
  pictures: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01',
  down: 'M7 10l5 5 5-5',
  chip: 'M7 7h10v10H7zM10 7V4M14 7V4M10 20v-3M14 20v-3M7 10H4M7 14H4M20 10h-3M20 14h-3',
} as const
export type IconName = keyof typeof paths

/** A decorative icon in the colour of the text. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('class', 'icon')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', paths[name])
  svg.append(path)
  return svg
}

interface ButtonOptions {
  icon?: IconName
  /** 'main' stands out; 'icon' shows the icon alone, the label is read out. */
  kind?: 'main' | 'plain' | 'icon' | 'link'
  class?: string
  disabled?: boolean
}

/** A button; its handler may be asynchronous and must not reject. */
export function button(label: string, onclick: () => void, options: ButtonOptions = {}): HTMLButtonElement {
  const { kind = 'plain', disabled, icon: name } = options
  const bare = kind === 'icon'
  return h(
    'button',
    {
      type: 'button',
      class: ['button', kind, options.class].filter(Boolean).join(' '),
      disabled,
      onclick,
      ...(bare ? { 'aria-label': label, title: label } : {}),
    },
    name && icon(name),
    !bare && label,
  )
}

let count = 0
/** An id that no other element has. */
export const newId = (): string => `id-${++count}`

/** A label above its control; `hint` stands below and is read with it. */
export function field(label: string, control: HTMLElement, hint?: string): HTMLElement {
  control.id ||= newId()
  const below = hint === undefined ? undefined : h('p', { class: 'hint', id: `${control.id}-hint` }, hint)
  if (below) control.setAttribute('aria-describedby', below.id)
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, below)
}

/** Replaces an element's children. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => !!child))
}

/** Replaces an element's text only where it changes, so that nothing is read out or laid out in vain. */
export function setText(element: Node, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** A place for one sentence about what went wrong, read out when it appears. */
export interface Note {
  readonly element: HTMLElement
  /** `offer` is what to do about it. */
  show(problem: unknown, offer?: HTMLElement): void
  clear(): void
}

/** An error as one sentence. */
export function sentence(problem: unknown): string {
  const text = problem instanceof Error ? problem.message : String(problem)
  const line = (text.split('\n')[0] ?? '').trim() || 'Something went wrong'
  return /[.!?]$/.test(line) ? line : `${line}.`
}

/** A note; it takes no room while it is empty. */
export function createNote(): Note {
  const text = h('p', {})
  const close = button('Close this message', () => clear(), { kind: 'icon', icon: 'close' })
  const place = h('span', {})
  const element = h('div', { class: 'note', hidden: true }, text, place, close)
  element.setAttribute('role', 'alert')
  const clear = () => {
    element.hidden = true
    text.textContent = ''
    fill(place)
  }
  return {
    element,
    show(problem, offer) {
      console.warn(problem)
      element.hidden = false
      text.textContent = sentence(problem)
      fill(place, offer)
    },
    clear,
  }
}

/** Tells a screen reader something without moving the focus. */
export function announce(text: string): void {
  const live = document.getElementById('live')
  if (live) live.textContent = text
}
