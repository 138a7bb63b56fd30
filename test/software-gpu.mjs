// SwiftShader, a Vulkan driver in software, out of @sparticuz/chromium, so that WebGPU runs on a machine without a GPU.
// For tests: correct, and slow. Linux on x64 only; elsewhere WebGPU uses what the system has.
import { join } from 'node:path'
import { carried, unpackDriver } from './unpack.mjs'

/**
 * Environment variables with which a new Node process finds SwiftShader, and no other Vulkan driver; they have to be set
 * before it starts. None where the package does not fit, or with VITUNE_TEST_GPU=system.
 */
export async function softwareGpu() {
  if (process.env.VITUNE_TEST_GPU === 'system' || carried() !== true) return {}
  const folder = await unpackDriver()
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  const driver = join(folder, 'vk_swiftshader_icd.json')
  return { LD_LIBRARY_PATH: libraries, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver }
}
