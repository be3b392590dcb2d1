// The picture with what is drawn over it, and a mark at the spot that the mouse is at; two of them may stand side by side.

import { grey, rgb } from './drawing.js'
import { make } from './elements.js'

export class Pane {
  constructor(title) {
    this.canvas = make('canvas', { title })
    this.marker = make('div', { className: 'marker', hidden: true })
    this.swatch = make('i', { className: 'swatch' })
    this.name = make('span')
    this.label = make('div', { className: 'label', hidden: true }, {}, this.swatch, this.name)
    this.element = make('div', { className: 'pane' }, {}, this.canvas, this.marker, this.label)
  }

  resize(width, height) {
    Object.assign(this.canvas, { width, height })
  }

  /** The picture, if there is one, and over it ImageData of any size, if any; isGrey: whether the picture loses its colours below that. */
  draw(picture, overlay, opacity, isGrey) {
    const { width, height } = this.canvas
    const context = this.canvas.getContext('2d')
    context.globalAlpha = 1
    context.fillStyle = 'black'
    context.fillRect(0, 0, width, height)
    if (picture) context.drawImage(picture, 0, 0, width, height)
    if (!overlay) return
    const layers = [overlay]
    if (picture && isGrey) layers.unshift(grey(context.getImageData(0, 0, width, height)))
    context.globalAlpha = picture ? opacity : 1
    for (const pixels of layers) {
      const layer = new OffscreenCanvas(pixels.width, pixels.height)
      layer.getContext('2d').putImageData(pixels, 0, 0)
      context.drawImage(layer, 0, 0, width, height)
    }
  }

  /** A name and its colour in the corner, as `rrggbb`, or none. */
  call(name, colour) {
    this.label.hidden = !name
    this.name.textContent = name
    this.swatch.style.background = colour ? `rgb(${rgb(colour)})` : 'currentColor'
  }

  /** spot: { x, y } in pixels of the canvas, or null. */
  mark(spot) {
    this.marker.hidden = !spot
    if (!spot) return
    this.marker.style.left = `${(100 * (spot.x + 0.5)) / this.canvas.width}%`
    this.marker.style.top = `${(100 * (spot.y + 0.5)) / this.canvas.height}%`
  }

  /** Where a pointer is in the picture, at any zoom. */
  spotOf({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect()
    const at = (way, pixels) => Math.min(Math.max(Math.floor(way * pixels), 0), pixels - 1)
    return { x: at((clientX - left) / width, this.canvas.width), y: at((clientY - top) / height, this.canvas.height) }
  }
}
