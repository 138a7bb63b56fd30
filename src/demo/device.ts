// What computes, why, and what else there is: a line in the head of the page that opens.
import type { DeviceReport } from '../backend/create.ts'
import type { App } from './app.ts'
import { fill, h, icon, sentence, setText } from './dom.ts'
import { plural } from './format.ts'

const titles: Record<string, string> = { webgpu: 'WebGPU', wasm: 'Processor', reference: 'Reference' }

function traits(device: DeviceReport): string {
  if (!device.available) return device.reason ?? device.why
  const parts = [
    device.adapter ?? '',
    device.name === 'wasm' ? plural(device.threads ?? 1, 'thread') : '',
    device.relaxedSimd ? 'relaxed SIMD' : '',
    ...(device.notes ?? []),
  ]
  const able = parts.filter(Boolean).join(', ')
  const said = device.why.replace(/\bwebgpu\b/g, 'WebGPU').replace(/\bwasm\b/g, 'the processor')
  const why = `${said.charAt(0).toUpperCase()}${said.slice(1)}.`
  return able === '' ? why : `${able}. ${why}`
}

/** The line; it asks the session for all devices when it is opened. */
export function createDevice(app: App): HTMLElement {
  const name = h('span', {})
  const list = h('dl', {})
  const element = h(
    'details',
    { class: 'device' },
    h('summary', {}, icon('chip'), name),
    h(
      'div',
      { class: 'pop' },
      h('p', { class: 'quiet' }, 'Where vitune computes in this browser:'),
      list,
      ...app.session.notes.map((note) => h('p', { class: 'quiet' }, sentence(note))),
    ),
  )
  function render(): void {
    const { device } = app.session
    const threads = device.name === 'wasm' ? `, ${plural(device.threads ?? 1, 'thread')}` : ''
    setText(name, `${titles[device.name] ?? device.name}${threads}`)
    list.replaceChildren()
    element.open = false
  }
  element.addEventListener('toggle', async () => {
    if (!element.open || list.children.length > 0) return
    const devices = await app.session.devices()
    fill(
      list,
      ...devices
        .filter((device) => device.name !== 'reference')
        .flatMap((device) => [
          h(
            'dt',
            {},
            titles[device.name] ?? device.name,
            device.name === app.session.device.name && h('span', { class: 'tag' }, 'in use'),
            !device.available && h('span', { class: 'tag off' }, 'not there'),
          ),
          h('dd', {}, traits(device)),
        ]),
    )
  })
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    element.open = false
    element.querySelector('summary')?.focus()
  })
  document.addEventListener('click', (event) => {
    if (!element.contains(event.target as Node)) element.open = false
  })
  app.onChange(render)
  render()
  return element
}
