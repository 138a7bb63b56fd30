// vitune demo: serves the page that trains in the browser, until Ctrl-C.
import { Command } from 'commander'
import { InputError } from '../platform/errors.ts'
import { hasFile, serveFolder } from '../platform/serve-node.ts'
import { terminal } from '../platform/terminal-node.ts'
import { addOutput, examples, numberOption } from './options.ts'
import { createUi } from './ui.ts'

interface Flags {
  port?: number
  json?: boolean
  color?: boolean
}

const PORT = 8765

async function run({ port = PORT, json = false, color = true }: Flags): Promise<void> {
  const ui = createUi({ colour: color })
  if (!(Number.isInteger(port) && port >= 0 && port <= 65535)) {
    throw new InputError(`--port: must be a whole number from 0 to 65535, got ${port}`)
  }
  const folder = new URL('demo/', import.meta.url)
  if (!hasFile(new URL('index.html', folder))) throw new InputError('demo: the page is not built; run npm run build')
  const server = await serveFolder(folder, port)
  if (json) ui.json({ address: server.address })
  else {
    ui.result(`The page that trains: ${ui.out('bold', server.address)}`)
    ui.note('It computes in your browser; nothing is uploaded. Ctrl-C ends it.')
  }
  await new Promise<void>((resolve) => terminal.onStop(() => resolve()))
  await server.close()
}

/** The verb. */
export function demoCommand(): Command {
  const command = new Command('demo')
    .description('open a page that trains in your browser')
    .addOption(numberOption('--port <n>', `port of this machine; 0 takes a free one (default: ${PORT})`))
  addOutput(command, 'print the address as JSON')
  return command.addHelpText('after', examples('vitune demo', 'vitune demo --port 0 --json')).action(run)
}
