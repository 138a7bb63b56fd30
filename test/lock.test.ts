// The lock of a run: one process writes it, the lock of a process that died is taken over by one only.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, train } from 'vitune'
import { images, model, refusal, start, temporary, until } from './cli-tools.ts'
import { errorOf } from './errors.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 5)
let places = 0
const fresh = () => join(folder, `run-${places++}`)
const flags = ['--data', data, '--model', model, '--batch-size', '4', '--threads', '1', '--device', 'wasm']

/** A process that waits for a byte on its input, then takes the lock, says so, and gives it back at the next. */
function contender(lock: string): ChildProcess {
  const source = `
    import { once } from 'node:events'
    const { platform } = await import('./dist/platform-node.js')
    console.log('ready')
    await once(process.stdin, 'data')
    const taken = await platform.takeLock(process.argv[1])
    console.log('release' in taken ? 'took it' : taken.who)
    await once(process.stdin, 'data')
    await taken.release?.()
    process.exit()`
  return spawn(process.execPath, ['--input-type=module', '-e', source, lock], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
const said = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => child.stdout!.once('data', (text) => resolve(String(text).trim())))
const say = (child: ChildProcess) => void child.stdin!.write('.')

/** What so many processes say that try to take the lock at one moment; then each gives back what it has. */
async function race(lock: string, count: number): Promise<string[]> {
  const children = Array.from({ length: count }, () => contender(lock))
  await Promise.all(children.map(said))
  const answers = Promise.all(children.map(said))
  for (const child of children) say(child)
  const result = await answers
  for (const child of children) {
    const ended = new Promise((resolve) => child.on('exit', resolve))
    say(child)
    await ended
  }
  return result
}

test('of processes that take a lock at one moment one has it, and knows who; it is gone after', async () => {
  const lock = join(folder, 'free.lock')
  const answers = await race(lock, 4)
  assert.is(answers.filter((text) => text === 'took it').length, 1, answers.join('\n'))
  assert.ok(answers.every((text) => /^(took it|process \d+ on \S+ since \S+)$/.test(text)))
  assert.equal(
    readdirSync(folder).filter((name) => name.includes('free.lock')),
    [],
  )
})

test('the lock of a process that was killed is taken over by one of those who find it, again and again', async () => {
  const lock = join(folder, 'dead.lock')
  for (let round = 0; round < 2; round++) {
    const holder = contender(lock)
    await said(holder)
    const took = said(holder)
    say(holder)
    assert.is(await took, 'took it')
    const ended = new Promise((resolve) => holder.on('exit', resolve))
    holder.kill('SIGKILL')
    await ended
    assert.ok(existsSync(lock))
    const answers = await race(lock, 3)
    assert.is(answers.filter((text) => text === 'took it').length, 1, answers.join('\n'))
    assert.equal(
      readdirSync(folder).filter((name) => name.includes('dead.lock')),
      [],
    )
  }
})

test('a claim whose maker died before it took the lock over is taken over too', async () => {
  const { lock, owner } = await lockOfDead('claimed.lock')
  writeFileSync(`${lock}.${owner.token}`, JSON.stringify({ ...owner, token: 'feed' }))
  const answers = await race(lock, 3)
  assert.is(answers.filter((text) => text === 'took it').length, 1, answers.join('\n'))
  assert.equal(
    readdirSync(folder).filter((name) => name.includes('claimed.lock')),
    [],
  )
})

/** A lock that a killed process left. */
async function lockOfDead(name: string) {
  const lock = join(folder, name)
  const holder = contender(lock)
  await said(holder)
  const took = said(holder)
  say(holder)
  await took
  const ended = new Promise((resolve) => holder.on('exit', resolve))
  holder.kill('SIGKILL')
  await ended
  return { lock, owner: JSON.parse(readFileSync(lock, 'utf8')) }
}

test('a lock of another machine, of other process numbers or that says nothing holds, and how to remove it is said', async () => {
  const { owner } = await lockOfDead('far.lock')
  const out = fresh()
  mkdirSync(out)
  const far = { ...owner, host: 'elsewhere', pid: 7 }
  const cases: [string, RegExp][] = [
    [
      JSON.stringify(far),
      /is locked by process 7 on elsewhere since \S+, which cannot be seen from here; remove \S+run\.lock if nothing writes there$/,
    ],
    [JSON.stringify({ ...owner, space: 'pid:[1]' }), /cannot be seen from here/],
    [JSON.stringify({ ...owner, boot: 'other', machine: '' }), /cannot be seen from here/],
    ['', /is locked by someone unknown/],
  ]
  for (const [text, expected] of cases) {
    writeFileSync(join(out, 'run.lock'), text)
    const error = await errorOf(train({ data, model, out }).next())
    assert.instance(error, InputError, error.stack)
    assert.match(error.message, expected)
    assert.equal(readdirSync(out), ['run.lock'])
  }
  // What is no file can neither be read nor replaced.
  rmSync(join(out, 'run.lock'))
  symlinkSync('nowhere', join(out, 'run.lock'))
  assert.match((await errorOf(train({ data, model, out }).next())).message, /is locked by someone unknown/)
  rmSync(join(out, 'run.lock'))
  // The number of a process comes again: this one runs, but began at another time.
  for (const text of [
    { ...owner, pid: process.pid },
    { ...owner, boot: 'before', machine: owner.machine },
  ]) {
    if (text.boot === 'before' && owner.machine === '') continue
    writeFileSync(join(out, 'run.lock'), JSON.stringify(text))
    for await (const event of train({ data, model, out, threads: 1, device: 'wasm' })) if (event.kind === 'start') break
    assert.equal(readdirSync(out).sort(), ['images.jsonl', 'run.json'])
    rmSync(out, { recursive: true })
    mkdirSync(out)
  }
})

test('a run that is being trained is neither resumed nor begun by others, and gives its folder back', async () => {
  const out = fresh()
  const { child, ended } = start(['train', ...flags, '--epochs', '4000', '--out', out, '--json'])
  await until(child, 'stdout', /"step":2,/)
  const held = new RegExp(`is being written by process ${child.pid} on \\S+ since \\S+; wait for its end or stop it`)
  assert.match(await refusal('train', '--resume', '--out', out), held)
  assert.match(await refusal('train', ...flags, '--out', out), held)
  const own = await errorOf(train({ out, resume: true } as never).next())
  assert.match(own.message, held)
  child.kill('SIGINT')
  assert.is((await ended).code, 130)
  assert.not.ok(existsSync(join(out, 'run.lock')))
})

test('of two that begin one run at one moment one trains, the other is refused and the folder is as if it were not', async () => {
  const out = fresh()
  const both = await Promise.all([1, 2].map(() => start(['train', ...flags, '--epochs', '2', '--out', out]).ended))
  assert.equal(both.map(({ code }) => code).sort(), [0, 2], both.map(({ err }) => err).join('\n'))
  const alone = fresh()
  assert.is((await start(['train', ...flags, '--epochs', '2', '--out', alone]).ended).code, 0)
  assert.equal(readdirSync(out), readdirSync(alone))
  for (const name of ['metrics.jsonl', 'checkpoint.safetensors', 'adapter_model.safetensors'])
    assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(alone, name))), name)
})

test('two trainings of one process cannot write one run either', async () => {
  const out = fresh()
  const first = train({ data, model, out, threads: 1, device: 'wasm' })
  await first.next()
  assert.match((await errorOf(train({ out, resume: true } as never).next())).message, /is being written by process/)
  await first.return(undefined as never)
  for await (const event of train({ out, resume: true } as never)) if (event.kind === 'step') break
})

test.run()
