// The classes of a set in a tree: each with a count and its first pictures, and with what can be done with it. A class is moved by
// dragging it onto another, or by choosing what it is a kind of.
import { type App, currentDataset, type State } from './app.ts'
import { button, fill, h, icon } from './dom.ts'
import { acceptDrops, type PlacedFile } from './drop.ts'
import { plural } from './format.ts'
import { drawThumb } from './thumbs.ts'

/** Pictures shown of a class. */
const SHOWN = 4

interface TreeOptions {
  app: App
  onError(problem: unknown): void
  pick(label: string): void
  drop(files: PlacedFile[], label: string): void
  record(label: string): void
}

export interface ClassTree {
  readonly element: HTMLElement
  render(state: State): void
  /** Adds a class that has no pictures yet. */
  draft(path: string): void
}

const nameOf = (path: string) => path.split('/').at(-1)!
const parentOf = (path: string) => path.split('/').slice(0, -1).join('/')
const isBelow = (path: string, above: string) => path.startsWith(`${above}/`)
/** What a dragged class is called on its way. */
const dragged = 'application/x-vitune-class'

/** The tree; classes without pictures are only here, not stored. */
export function createClassTree({ app, onError, pick, drop, record }: TreeOptions): ClassTree {
  const element = h('ul', { class: 'tree', 'aria-label': 'Classes' })
  const drafts = new Map<string, Set<string>>()
  const thumbs = new Map<string, { key: string; element: HTMLElement }>()
  let dataset = ''
  let drawn = ''
  /** The class whose menu is open. */
  let open = ''

  const draftsOf = (name: string) => drafts.get(name) ?? new Set<string>()
  const draft = (path: string) => {
    drafts.set(dataset, draftsOf(dataset).add(path))
    render(app.state)
  }

  /** Gives a class and all below it another place. */
  async function move(path: string, to: string): Promise<void> {
    open = ''
    if (path === to || isBelow(to, path)) return render(app.state)
    const own = draftsOf(dataset)
    for (const one of [...own]) {
      if (one !== path && !isBelow(one, path)) continue
      own.delete(one)
      own.add(`${to}${one.slice(path.length)}`)
    }
    drafts.set(dataset, own)
    const stored = currentDataset(app.state).classes.some(({ name }) => name === path)
    if (stored) await app.session.renameClass(dataset, path, to).catch(onError)
    await app.refresh().catch(onError)
  }
  const moveUnder = (path: string, parent: string) =>
    move(path, parent === '' ? nameOf(path) : `${parent}/${nameOf(path)}`)

  async function remove(path: string): Promise<void> {
    const stored = currentDataset(app.state).classes.find(({ name }) => name === path)
    if (stored && !confirm(`Remove “${path}” with ${plural(stored.images, 'picture')}?`)) return
    const own = draftsOf(dataset)
    for (const one of [...own]) if (one === path || isBelow(one, path)) own.delete(one)
    if (stored) await app.session.removeClass(dataset, path).catch(onError)
    await app.refresh().catch(onError)
  }

  function thumbsOf(path: string, images: number): HTMLElement {
    const key = `${dataset}/${path}/${Math.min(images, SHOWN)}`
    const known = thumbs.get(path)
    if (known?.key === key) return known.element
    const place = h('span', { class: 'thumbs', 'aria-hidden': 'true' })
    thumbs.set(path, { key, element: place })
    if (images > 0) {
      app.session
        .images(dataset, path, SHOWN)
        .then((files) => Promise.all(files.map((file) => drawThumb(file))))
        .then((drawn) => fill(place, ...drawn), onError)
    }
    return place
  }

  /** What can be done with a class, below it while it is open. */
  function menuOf(path: string, all: readonly string[]): HTMLElement {
    const child = h('input', {
      type: 'text',
      placeholder: 'New kind',
      'aria-label': `New kind of ${path}`,
      maxlength: 100,
    })
    const name = h('input', { type: 'text', value: nameOf(path), 'aria-label': `Name of ${path}`, maxlength: 100 })
    const parents = all.filter((one) => one !== path && !isBelow(one, path))
    const parent = h(
      'select',
      { 'aria-label': `${path} is a kind of`, onchange: () => void moveUnder(path, parent.value) },
      h('option', { value: '' }, 'nothing: it is a root'),
      ...parents.map((one) => h('option', { value: one, selected: one === parentOf(path) }, one)),
    )
    const form = (input: HTMLInputElement, what: string, run: (text: string) => void) =>
      h(
        'form',
        {
          class: 'row tight',
          onsubmit: (event: Event) => {
            event.preventDefault()
            const text = input.value.trim()
            if (text !== '') run(text)
          },
        },
        input,
        h('button', { type: 'submit', class: 'button plain' }, what),
      )
    const above = parentOf(path)
    return h(
      'div',
      { class: 'panel tree-menu' },
      form(child, 'Add', (text) => draft(`${path}/${text}`)),
      form(name, 'Rename', (text) => void move(path, above === '' ? text : `${above}/${text}`)),
      h('label', { class: 'tree-parent' }, h('span', {}, 'A kind of'), parent),
      h(
        'div',
        { class: 'row' },
        button('Add pictures', () => pick(path), { icon: 'add' }),
        button('Camera', () => record(path), { icon: 'camera' }),
        button('Remove', () => void remove(path), { icon: 'remove' }),
      ),
    )
  }

  function node(path: string, counts: ReadonlyMap<string, number>, all: readonly string[]): HTMLElement {
    const images = counts.get(path) ?? 0
    const kinds = all.filter((one) => parentOf(one) === path)
    const isOpen = open === path
    const head = h(
      'div',
      { class: 'tree-head', draggable: 'true' },
      h(
        'button',
        {
          type: 'button',
          class: 'tree-name',
          'aria-expanded': String(isOpen),
          'data-path': path,
          onclick: () => {
            open = isOpen ? '' : path
            render(app.state)
          },
        },
        path !== nameOf(path) && h('span', { class: 'hidden' }, `${parentOf(path)}/`),
        h('span', { class: 'class-name' }, nameOf(path)),
        ' ',
        h('span', { class: 'quiet' }, images === 0 ? 'none yet' : String(images)),
        images > 0 && h('span', { class: 'hidden' }, images === 1 ? ' picture' : ' pictures'),
        icon('down'),
      ),
      thumbsOf(path, images),
    )
    head.addEventListener('dragstart', (event) => event.dataTransfer?.setData(dragged, path))
    takeClasses(head, path)
    acceptDrops(head, (files) => drop(files, path))
    return h(
      'li',
      {},
      head,
      isOpen && menuOf(path, all),
      kinds.length > 0 && h('ul', {}, ...kinds.map((kind) => node(kind, counts, all))),
    )
  }

  /** Lets a class be dropped on another, which it then is a kind of. */
  function takeClasses(target: HTMLElement, path: string): void {
    const isClass = (event: DragEvent) => event.dataTransfer?.types.includes(dragged) ?? false
    target.addEventListener('dragover', (event) => {
      if (!isClass(event)) return
      event.preventDefault()
      event.stopPropagation()
      target.classList.add('over')
    })
    target.addEventListener('dragleave', () => target.classList.remove('over'))
    target.addEventListener('drop', (event) => {
      if (!isClass(event)) return
      event.preventDefault()
      event.stopPropagation()
      target.classList.remove('over')
      void moveUnder(event.dataTransfer!.getData(dragged), path)
    })
  }

  function render(state: State): void {
    const set = currentDataset(state)
    if (dataset !== set.name) {
      thumbs.clear()
      open = ''
    }
    dataset = set.name
    const counts = new Map(set.classes.map(({ name, images }) => [name, images]))
    const drafted = [...draftsOf(dataset)].flatMap((path) =>
      path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/')),
    )
    const all = [...new Set([...counts.keys(), ...drafted])].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    element.hidden = set.labelling !== 'tree' || all.length === 0
    const key = JSON.stringify([dataset, all, [...counts], open])
    if (element.hidden || key === drawn) return
    drawn = key
    const focused = document.activeElement?.getAttribute('data-path')
    fill(element, ...all.filter((path) => parentOf(path) === '').map((path) => node(path, counts, all)))
    if (focused) element.querySelector<HTMLElement>(`[data-path="${CSS.escape(focused)}"]`)?.focus()
  }
  takeClasses(element, '')

  return { element, render, draft }
}
