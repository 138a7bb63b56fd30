// Errors on their way from a session's worker to the page.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ChangedError,
  DeviceLostError,
  InputError,
  NotFiniteError,
  OutOfMemoryError,
  ReadError,
  WriteError,
} from '../src/platform/errors.ts'
import { connect, serve } from '../src/web/rpc.ts'
import { errorOf } from './errors.ts'

test('an error keeps its class, its sentence and its code on the way to the page, and one of another class its name', async () => {
  const errors: Error[] = [
    new ReadError('a: cannot be read', 'NotReadableError'),
    new WriteError('a: cannot be written', 'QuotaExceededError'),
    new ChangedError('b'),
    new NotFiniteError('c'),
    new InputError('d'),
    new DeviceLostError('e'),
    new OutOfMemoryError('f'),
    new RangeError('g'),
    Object.assign(new Error('h'), { name: 'toString' }),
  ]
  let answer: (reply: unknown) => void = () => {}
  const handlers = {
    async fail(i: number) {
      throw errors[i]
    },
  }
  const take = serve(handlers, (reply) => answer(structuredClone(reply)))
  const caller = connect<typeof handlers>({
    post: (message) => take(structuredClone(message)),
    onMessage(listener) {
      answer = listener
    },
    onError() {},
    hold() {},
    async stop() {},
  })
  for (const [i, sent] of errors.entries()) {
    const got = await errorOf(caller.call('fail', i))
    assert.is(got.name, sent.name)
    assert.is(got.message, sent.message)
    if (i < 7) assert.is(got.constructor, sent.constructor)
    assert.is(got instanceof InputError, sent instanceof InputError)
    assert.is((got as ReadError).code, (sent as ReadError).code)
  }
})

test.run()
