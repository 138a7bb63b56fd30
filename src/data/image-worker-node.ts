// The entry of an image worker under Node.
import { makeImages } from './image-worker.ts'

makeImages()
