// The camera: a picture of what it sees, and frames on request. It is switched off as soon as it is not looked at.

/** A running camera; `video` shows it. */
export interface Camera {
  readonly video: HTMLVideoElement
  /** The frame that is shown now, the centre square of it. */
  frame(): Promise<ImageBitmap>
  stop(): void
}

/** Switches the camera on; rejects with one sentence when there is none or it may not be used. */
export async function openCamera(): Promise<Camera> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error('The camera needs a secure page (https or localhost)')
  }
  const stream = await navigator.mediaDevices
    .getUserMedia({ video: { facingMode: 'environment', width: { ideal: 640 } }, audio: false })
    .catch((error: DOMException) => {
      if (error.name === 'NotAllowedError') throw new Error('The camera may not be used: allow it in the address bar')
      if (error.name === 'NotFoundError') throw new Error('No camera was found')
      throw new Error(`The camera did not start: ${error.message}`)
    })
  const video = document.createElement('video')
  video.muted = true
  video.playsInline = true
  video.srcObject = stream
  video.setAttribute('aria-label', 'What the camera sees')
  await video.play()
  return {
    video,
    frame() {
      const { videoWidth: w, videoHeight: h } = video
      const side = Math.min(w, h)
      return createImageBitmap(video, (w - side) / 2, (h - side) / 2, side, side)
    },
    stop() {
      for (const track of stream.getTracks()) track.stop()
      video.srcObject = null
    },
  }
}
