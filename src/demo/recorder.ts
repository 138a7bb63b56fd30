// Pictures from the camera into a class: one at a press, or several a second while recording.
import { type Camera, openCamera } from './camera.ts'
import { announce, button, field, fill, h, icon, setText } from './dom.ts'
import { plural } from './format.ts'
import type { NewPicture } from './pictures.ts'

/** Frames a second while recording, and at most in one go. */
const RATE = 5
const MOST = 200

interface RecorderOptions {
  add(pictures: readonly NewPicture[]): Promise<boolean>
  onError(problem: unknown): void
}

export interface Recorder {
  readonly element: HTMLElement
  open(label?: string): Promise<void>
  /** Names that the field suggests. */
  setClasses(labels: readonly string[]): void
}

/** A panel that is hidden until the camera is asked for. */
export function createRecorder({ add, onError }: RecorderOptions): Recorder {
  let camera: Camera | undefined
  let timer: ReturnType<typeof setInterval> | undefined
  let taken: ImageBitmap[] = []
  const view = h('div', { class: 'viewfinder' })
  const known = h('datalist', { id: 'known-classes' })
  const label = h('input', { type: 'text', list: known.id, autocomplete: 'off', maxlength: 100 })
  const count = h('p', { class: 'quiet' }, 'Nothing recorded yet.')

  async function take(): Promise<void> {
    const frame = await camera?.frame().catch(() => undefined)
    if (!frame) return
    taken.push(frame)
    setText(count, `${plural(taken.length, 'picture')} recorded.`)
    if (taken.length >= MOST) toggle(false)
  }
  function toggle(on = timer === undefined): void {
    clearInterval(timer)
    timer = on ? setInterval(() => void take(), 1000 / RATE) : undefined
    fill(record, icon(on ? 'stop' : 'play'), on ? 'Pause recording' : 'Record')
    record.setAttribute('aria-pressed', String(on))
    announce(on ? 'Recording' : `${plural(taken.length, 'picture')} recorded`)
  }
  const record = button('Record', () => toggle(), { icon: 'play', kind: 'main' })
  function close(): void {
    clearInterval(timer)
    timer = undefined
    camera?.stop()
    camera = undefined
    element.hidden = true
    fill(record, icon('play'), 'Record')
    setText(count, 'Nothing recorded yet.')
  }
  async function keep(): Promise<void> {
    const name = label.value.trim()
    if (taken.length > 0 && name === '') {
      label.focus()
      return onError('Name the class that these pictures show')
    }
    const frames = taken
    taken = []
    close()
    const start = Date.now().toString(36)
    await add(frames.map((source, i) => ({ source, class: name, name: `camera-${start}-${i + 1}.png` })))
    for (const frame of frames) frame.close()
  }
  const element = h(
    'div',
    { class: 'panel', hidden: true },
    view,
    known,
    field('Class to record for', label),
    h(
      'div',
      { class: 'row' },
      record,
      button('Take one', () => void take(), { icon: 'camera' }),
    ),
    count,
    h(
      'div',
      { class: 'row' },
      button('Keep them', () => void keep()),
      button('Cancel', () => {
        for (const frame of taken) frame.close()
        taken = []
        close()
      }),
    ),
  )
  return {
    element,
    async open(name) {
      try {
        camera ??= await openCamera()
      } catch (error) {
        return onError(error)
      }
      fill(view, camera.video)
      if (name !== undefined) label.value = name
      element.hidden = false
      ;(label.value === '' ? label : record).focus()
    },
    setClasses(labels) {
      fill(known, ...labels.map((value) => h('option', { value })))
    },
  }
}
