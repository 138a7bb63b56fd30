// The page: three sections around one session. Built into dist/demo/ with index.html and style.css.
import { createApp } from './app.ts'
import { createDevice } from './device.ts'
import { fill, sentence } from './dom.ts'
import { isolate } from './isolation.ts'
import { createPictures } from './pictures.ts'
import { createTraining } from './training.ts'
import { createTrying } from './trying.ts'

async function start(): Promise<void> {
  const notice = document.getElementById('notice')!
  const main = document.getElementById('main')!
  const slow = await isolate()
  if (slow) {
    fill(notice, slow)
    notice.hidden = false
  }
  try {
    const app = await createApp()
    const trying = createTrying(app)
    fill(main, createPictures(app), createTraining(app, trying.use), trying.element)
    document.getElementById('device')!.replaceWith(createDevice(app))
    // A file that misses its zone would otherwise replace the page.
    for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault())
  } catch (error) {
    notice.hidden = false
    notice.textContent = `vitune cannot start here. ${sentence(error)}`
    main.hidden = true
  }
  document.documentElement.dataset.ready = 'true'
}

void start()
