// The frames of a clip: play and scrub, and how sure the maps are of each concept in which of them.

import { rgb } from './drawing.js'
import { make } from './elements.js'

const RATE = 12 // frames a second

export class ClipBar {
  /** show(frame): while the clip plays or is dragged; keep(frame): where it comes to rest. */
  constructor(words, { show, keep }) {
    Object.assign(this, { words, show, keep, timer: null })
    this.button = make('button', { type: 'button', onclick: () => this.toggle() })
    this.slider = make('input', { type: 'range', min: 0, step: 1, title: words.frame, ariaLabel: words.frame })
    this.slider.oninput = () => {
      this.pause()
      show(Number(this.slider.value))
    }
    this.slider.onchange = () => keep(Number(this.slider.value))
    this.curves = make('div', { className: 'curves', title: words.curves })
    const bar = make('div', { className: 'bar' }, {}, this.button, this.slider)
    this.element = make('div', { className: 'clip', hidden: true }, {}, bar, this.curves)
    this.pause()
  }

  /** For new maps; hidden where they are of pictures. */
  open(maps) {
    this.pause()
    this.element.hidden = !maps.isClip
    if (!maps.isClip) return
    this.count = maps.count
    this.slider.max = maps.count - 1
    const [low, high] = maps.about.shares ? [0, 1] : maps.range(0)
    const line = (place) => {
      const height = (frame) => 1 - (maps.presence(frame, place) - low) / (high - low || 1)
      const points = Array.from({ length: maps.count }, (_, frame) => `${frame},${height(frame)}`)
      return `<polyline data-place="${place}" points="${points.join(' ')}" style="stroke: rgb(${rgb(maps.about.colours[place])})"/>`
    }
    const lines = Array.from({ length: maps.shown }, (_, place) => line(place))
    const box = `0 -0.05 ${maps.count - 1} 1.1`
    this.curves.innerHTML = `<svg viewBox="${box}" preserveAspectRatio="none">${lines.join('')}<line y1="0" y2="1"/></svg>`
  }

  /** The frame that is seen, and the places of the concepts that are. */
  mark(frame, seen) {
    this.slider.value = frame
    const now = this.curves.querySelector('line')
    for (const side of ['x1', 'x2']) now?.setAttribute(side, frame)
    for (const line of this.curves.querySelectorAll('polyline')) line.classList.toggle('seen', seen.includes(Number(line.dataset.place)))
  }

  toggle() {
    if (this.timer === null) this.play()
    else this.keep(Number(this.slider.value))
  }

  play() {
    const next = () => (this.element.isConnected ? this.show((Number(this.slider.value) + 1) % this.count) : this.pause())
    this.timer = setInterval(next, 1000 / RATE)
    this.label('❚❚', this.words.pause)
  }

  pause() {
    clearInterval(this.timer)
    this.timer = null
    this.label('▶', this.words.play)
  }

  label(textContent, title) {
    Object.assign(this.button, { textContent, title, ariaLabel: title })
  }
}
