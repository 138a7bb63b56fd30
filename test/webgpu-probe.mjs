// Says in one line whether Node has WebGPU here: `true`, or why not. run.mjs asks it in a process of its own, since a driver
// that is broken may end the process.
try {
  const { create } = await import('webgpu')
  const gpu = create([])
  const adapter = await gpu.requestAdapter()
  console.log(adapter ? 'true' : 'the webgpu package finds no adapter')
} catch (error) {
  console.log(`the webgpu package does not load, ${error.message.split('\n')[0]}`)
}
process.exit() // Dawn would keep it alive
