// The classes of the chosen set: a name, a count, the first pictures, and what can be done with them.
import { type App, currentDataset, type State } from './app.ts'
import { button, fill, h, setText } from './dom.ts'
import { acceptDrops, type PlacedFile } from './drop.ts'
import { plural } from './format.ts'
import { drawThumb } from './thumbs.ts'

/** Pictures shown of a class. */
const SHOWN = 5

interface ClassListOptions {
  app: App
  onError(problem: unknown): void
  pick(label: string): void
  drop(files: PlacedFile[], label: string): void
  record(label: string): void
}

export interface ClassList {
  readonly element: HTMLElement
  render(state: State): void
  /** Adds a class that has no pictures yet. */
  draft(label: string): void
}

interface Row {
  element: HTMLElement
  count: HTMLElement
  thumbs: HTMLElement
  /** What the thumbnails show. */
  shown: string
}

/** The list; classes without pictures are only here, not stored. */
export function createClassList({ app, onError, pick, drop, record }: ClassListOptions): ClassList {
  const element = h('ul', { class: 'classes', 'aria-label': 'Classes' })
  const rows = new Map<string, Row>()
  const drafts = new Map<string, Set<string>>()
  const draftsOf = (dataset: string) => drafts.get(dataset) ?? new Set<string>()
  let dataset = ''

  function makeRow(label: string): Row {
    const count = h('span', { class: 'quiet' })
    const thumbs = h('div', { class: 'thumbs', 'aria-hidden': 'true' })
    const act = (what: string, name: 'add' | 'camera' | 'remove', run: () => void) =>
      button(`${what} ${label}`, run, { kind: 'icon', icon: name })
    const row = h(
      'li',
      { class: 'class' },
      h('div', { class: 'class-head' }, h('span', { class: 'class-name' }, label), count),
      h(
        'div',
        { class: 'class-body' },
        thumbs,
        h(
          'div',
          { class: 'class-acts' },
          act('Add pictures to', 'add', () => pick(label)),
          act('Record with the camera for', 'camera', () => record(label)),
          act('Remove class', 'remove', () => void remove(label)),
        ),
      ),
    )
    acceptDrops(row, (files) => drop(files, label))
    return { element: row, count, thumbs, shown: '' }
  }

  async function remove(label: string): Promise<void> {
    const stored = currentDataset(app.state).classes.find(({ name }) => name === label)
    draftsOf(dataset).delete(label)
    if (!stored) return render(app.state)
    if (!confirm(`Remove ${plural(stored.images, 'picture')} of “${label}”?`)) return
    await app.session.removeClass(dataset, label).catch(onError)
    await app.refresh().catch(onError)
  }

  /** Reads the first pictures of a class from the storage and draws them small. */
  async function drawThumbs(row: Row, label: string, images: number): Promise<void> {
    const key = `${dataset}/${label}/${Math.min(images, SHOWN)}`
    if (row.shown === key) return
    row.shown = key
    const files = images === 0 ? [] : await app.session.images(dataset, label, SHOWN)
    const drawn = await Promise.all(files.map((file) => drawThumb(file)))
    if (row.shown === key) fill(row.thumbs, ...drawn)
  }

  function render(state: State): void {
    if (dataset !== state.dataset) rows.clear()
    dataset = state.dataset
    const set = currentDataset(state)
    const stored = new Map(set.classes.map(({ name, images }) => [name, images]))
    const labels =
      set.labelling !== 'classes'
        ? []
        : [...new Set([...stored.keys(), ...draftsOf(dataset)])].sort((a, b) =>
            a.localeCompare(b, 'en', { numeric: true }),
          )
    for (const label of rows.keys()) if (!labels.includes(label)) rows.delete(label)
    const shown = labels.map((label) => {
      const row = rows.get(label) ?? makeRow(label)
      rows.set(label, row)
      const images = stored.get(label) ?? 0
      setText(row.count, images === 0 ? 'no pictures yet' : plural(images, 'picture'))
      drawThumbs(row, label, images).catch(onError)
      return row.element
    })
    // Only where something changed: replacing a row would take the focus from it.
    if (shown.length !== element.children.length || shown.some((row, i) => row !== element.children[i])) {
      fill(element, ...shown)
    }
    element.hidden = set.labelling !== 'classes' || shown.length === 0
  }

  return {
    element,
    render,
    draft(label) {
      drafts.set(dataset, draftsOf(dataset).add(label))
      render(app.state)
    },
  }
}
