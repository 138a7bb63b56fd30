// The page: three sections around one session. Built into dist/demo/ with index.html and style.css.
import { createApp } from './app.ts'
import { createDevice } from './device.ts'
import { fill, h, sentence } from './dom.ts'
import { isolate } from './isolation.ts'
import { createPictures } from './pictures.ts'
import { createTraining } from './training.ts'
import { createTrying } from './trying.ts'

async function start(): Promise<void> {
  const notice = document.getElementById('notice')!
  const main = document.getElementById('main')!
  const tell = (line: Node) => {
    notice.append(line)
    notice.hidden = false
  }
  try {
    const slow = await isolate()
    if (slow) tell(slow)
    const app = await createApp()
    if (app.session.storage === 'memory') {
      document.getElementById('keeping')!.textContent = 'Pictures, models and runs are gone when this tab is closed.'
      const advice = h('strong', {}, 'Download what you train before you close or reload this tab.')
      tell(h('p', {}, `${sentence(app.session.notes[0])} `, advice))
    }
    const trying = createTrying(app)
    fill(main, createPictures(app), createTraining(app, trying.use), trying.element)
    document.getElementById('device')!.replaceWith(createDevice(app))
    // A file that misses its zone would otherwise replace the page.
    for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault())
  } catch (error) {
    tell(h('p', {}, `vitune cannot start here. ${sentence(error)}`))
    main.hidden = true
  }
  document.documentElement.dataset.ready = 'true'
}

void start()
