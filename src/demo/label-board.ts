// Pictures that have any number of labels: each with its labels as chips, which are taken off by a click and added by name; above
// them all labels with counts, of which one may be chosen to see its pictures.
import type { StoredImage } from '../web/types.ts'
import { type App, currentDataset, type State } from './app.ts'
import { announce, button, fill, h, icon, setText } from './dom.ts'
import { drawThumb } from './thumbs.ts'

/** Pictures that are shown at first, and how many more at a press. */
const SHOWN = 12

/** What is shown: pictures with a label, those without any, or all. */
type Filter = { label: string } | 'none' | 'all'
const isSame = (a: Filter, b: Filter) => JSON.stringify(a) === JSON.stringify(b)

interface Row {
  readonly element: HTMLElement
  render(image: StoredImage): void
}

export interface LabelBoard {
  readonly element: HTMLElement
  render(state: State): void
}

/** The pictures of the chosen set with their labels. */
export function createLabelBoard(app: App, onError: (problem: unknown) => void): LabelBoard {
  const known = h('datalist', { id: 'known-labels' })
  const filters = h('div', { class: 'chips', role: 'group', 'aria-label': 'Show pictures with' })
  const list = h('ul', { class: 'labelled', 'aria-label': 'Pictures and their labels' })
  const more = button('Show more pictures', () => {
    shown += SHOWN
    draw()
  })
  const rename = h('form', { class: 'row tight', hidden: true })
  const element = h('div', { class: 'board', hidden: true }, known, filters, rename, list, more)
  let dataset = ''
  let images: StoredImage[] = []
  let shown = SHOWN
  let filter: Filter = 'all'
  let rows = new Map<string, Row>()
  /** What `images` was read for; pictures of another state are read anew. */
  let read = ''

  const has = ({ labels }: StoredImage): boolean =>
    filter === 'all' || (filter === 'none' ? labels.length === 0 : labels.includes(filter.label))

  /** Gives a picture other labels, at once here and then in the storage. */
  async function change({ image, labels, unknown = [] }: StoredImage, said: string): Promise<void> {
    const left = unknown.filter((label) => !labels.includes(label))
    const now: StoredImage = { image, labels, ...(left.length > 0 && { unknown: left }) }
    images = images.map((one) => (one.image === image ? now : one))
    rows.get(image)?.render(now)
    announce(said)
    await app.session.setLabels(dataset, image, labels, left).catch(onError)
    await app.refresh().catch(onError)
  }

  function makeRow(image: string): Row {
    const name = image.replace(/\.\w+$/, '')
    const picture = h('div', { class: 'labelled-picture' })
    const chips = h('ul', { class: 'chips', 'aria-label': `Labels of ${name}` })
    const input = h('input', {
      type: 'text',
      class: 'chip-input',
      list: known.id,
      placeholder: 'Add a label',
      'aria-label': `Add a label to ${name}`,
      autocomplete: 'off',
      maxlength: 100,
    })
    const now = () => images.find((one) => one.image === image)!
    const add = (event: Event) => {
      event.preventDefault()
      const label = input.value.trim()
      if (label === '') return
      input.value = ''
      const { labels } = now()
      if (!labels.includes(label)) void change({ ...now(), labels: [...labels, label] }, `${label} added to ${name}`)
    }
    const remove = button(`Remove picture ${name}`, () => void removePicture(image), { kind: 'icon', icon: 'remove' })
    void app.session
      .imageFiles(dataset, [image])
      .then(([file]) => drawThumb(file!, 96))
      .then((canvas) => fill(picture, canvas), onError)
    const form = h('form', { onsubmit: add }, input)
    const row = h('li', {}, picture, h('div', { class: 'labelled-words' }, chips, form), remove)
    return {
      element: row,
      render({ labels, unknown = [] }) {
        const chip = (text: string, kind: string, says: string, onclick: () => void) =>
          h(
            'li',
            {},
            h('button', { type: 'button', class: `chip ${kind}`, 'aria-label': says, onclick }, text, icon('close')),
          )
        const takeOff = (label: string) => () => {
          input.focus()
          const rest = now().labels.filter((own) => own !== label)
          void change({ ...now(), labels: rest }, `${label} removed from ${name}`)
        }
        const markAbsent = (label: string) => () => {
          input.focus()
          const rest = (now().unknown ?? []).filter((own) => own !== label)
          void change({ ...now(), unknown: rest }, `${label} is absent from ${name}`)
        }
        fill(
          chips,
          ...labels.map((label) => chip(label, '', `Remove ${label} from ${name}`, takeOff(label))),
          ...unknown.map((label) =>
            chip(`${label} ?`, 'unknown', `${label} ? Not known of ${name}: mark it absent`, markAbsent(label)),
          ),
        )
        chips.hidden = labels.length + unknown.length === 0
      },
    }
  }

  async function removePicture(image: string): Promise<void> {
    const next = rows.get(image)?.element.nextElementSibling ?? rows.get(image)?.element.previousElementSibling
    images = images.filter((one) => one.image !== image)
    draw()
    next?.querySelector('input')?.focus()
    await app.session.removeImages(dataset, [image]).catch(onError)
    announce('Picture removed')
    await app.refresh().catch(onError)
  }

  function draw(): void {
    const all = images.filter(has)
    const some = all.slice(0, shown)
    const next = new Map<string, Row>()
    for (const image of some) {
      const row = rows.get(image.image) ?? makeRow(image.image)
      row.render(image)
      next.set(image.image, row)
    }
    rows = next
    const elements = [...rows.values()].map((row) => row.element)
    // Only where something changed: replacing a row would take the focus from it.
    if (elements.length !== list.children.length || elements.some((row, i) => row !== list.children[i])) {
      fill(list, ...elements)
    }
    more.hidden = all.length <= shown
    setText(more, `Show more pictures (${all.length - some.length} left)`)
  }

  function drawFilters(classes: readonly { name: string; images: number }[]): void {
    const without = images.filter(({ labels }) => labels.length === 0).length
    const choices: { value: Filter; text: string; count: number }[] = [
      { value: 'all', text: 'All', count: images.length },
      ...(without > 0 ? [{ value: 'none' as const, text: 'No label', count: without }] : []),
      ...classes.map(({ name, images }) => ({ value: { label: name }, text: name, count: images })),
    ]
    if (!choices.some(({ value }) => isSame(value, filter))) filter = 'all'
    const focused = document.activeElement?.getAttribute('data-filter')
    fill(
      filters,
      ...choices.map(({ value, text, count }) =>
        h(
          'button',
          {
            type: 'button',
            class: 'chip choice',
            'aria-pressed': String(isSame(value, filter)),
            'data-filter': JSON.stringify(value),
            onclick: () => {
              filter = value
              shown = SHOWN
              drawFilters(classes)
              draw()
            },
          },
          h('span', {}, text),
          ' ',
          h('span', { class: 'count' }, String(count)),
          h('span', { class: 'hidden' }, count === 1 ? ' picture' : ' pictures'),
        ),
      ),
    )
    if (focused) filters.querySelector<HTMLElement>(`[data-filter='${CSS.escape(focused)}']`)?.focus()
    drawRename()
  }

  /** Of the chosen label: its name to change, and a way to take it off all pictures. */
  function drawRename(): void {
    rename.hidden = typeof filter === 'string'
    if (typeof filter === 'string') return
    const { label } = filter
    if (rename.dataset.label === label) return
    rename.dataset.label = label
    const name = h('input', { type: 'text', value: label, 'aria-label': `Name of the label ${label}`, maxlength: 100 })
    rename.onsubmit = (event) => {
      event.preventDefault()
      const to = name.value.trim()
      if (to === '' || to === label) return
      filter = { label: to }
      void app.session.renameClass(dataset, label, to).then(app.refresh, onError)
    }
    const off = async () => {
      if (!confirm(`Take “${label}” off all pictures?`)) return
      await app.session.removeClass(dataset, label).catch(onError)
      await app.refresh().catch(onError)
    }
    fill(
      rename,
      name,
      h('button', { type: 'submit', class: 'button plain' }, 'Rename'),
      button(`Take ${label} off all pictures`, () => void off(), { kind: 'icon', icon: 'remove' }),
    )
  }

  async function load(state: State): Promise<void> {
    const set = currentDataset(state)
    if (dataset !== set.name) {
      rows.clear()
      shown = SHOWN
      filter = 'all'
    }
    dataset = set.name
    const key = JSON.stringify(set)
    if (read !== key) {
      read = key
      const listed = set.images === 0 ? [] : await app.session.listImages(dataset)
      if (read !== key) return
      images = listed
    }
    fill(known, ...set.classes.map(({ name }) => h('option', { value: name })))
    drawFilters(set.classes)
    draw()
  }

  return {
    element,
    render(state) {
      const set = currentDataset(state)
      element.hidden = set.labelling !== 'labels' || set.images === 0
      if (!element.hidden) load(state).catch(onError)
    },
  }
}
