// Takes a session's GPU away, in a page: workers that start from text are given a line before it that keeps their devices.

/** In the page, before a session starts. */
export function keepDevices(): void {
  const inWorker = () => {
    const devices: { destroy(): void }[] = []
    const adapter = (globalThis as unknown as { GPUAdapter?: { prototype: { requestDevice(): Promise<never> } } })
      .GPUAdapter
    const ask = adapter?.prototype.requestDevice
    if (!adapter || !ask) return
    adapter.prototype.requestDevice = async function (...args: []) {
      const device = await ask.apply(this, args)
      devices.push(device)
      return device
    }
    new BroadcastChannel('lose').onmessage = () => devices.at(-1)!.destroy()
  }
  const address = URL.createObjectURL
  URL.createObjectURL = (blob: Blob) => {
    const { type } = blob
    return address.call(URL, type === 'text/javascript' ? new Blob([`(${inWorker})();`, blob], { type }) : blob)
  }
}

/** In the page: destroys the device that was asked for last. */
export const loseDevice = (): void => new BroadcastChannel('lose').postMessage('')
