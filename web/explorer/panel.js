// What the Explorer shows in its node: toolbar, picture, and the concepts ranked. It keeps no state that a workflow should keep:
// that is the host's.

import { heatmap, mask, rgb, segmentation } from './drawing.js'
import { extremes } from './maps.js'

const LONGEST = 768 // pixels that are drawn; the browser scales them
const VIEWS = ['heatmap', 'mask', 'segmentation']
const CACHED = 24 // smooth maps

/**
 * host: { words, pinned: text, threshold: number, state: { view, opacity, picture }, isGiven(name) }, whose pinned and state are also
 * written to; isGiven: whether pinned or threshold comes from another node.
 */
export class ExplorerPanel {
  constructor(host) {
    this.host = host
    this.maps = this.spot = this.hovered = this.current = null
    this.pictures = []
    this.smooth = new Map()
    this.build(host.words)
    this.say(host.words.empty)
  }

  build(words) {
    this.views = VIEWS.map((view) =>
      make('button', { type: 'button', textContent: words[view], onclick: () => this.set({ view }) }, { view }),
    )
    this.opacity = make('input', { type: 'range', min: 0, max: 1, step: 0.05, title: words.opacity, ariaLabel: words.opacity })
    this.opacity.oninput = () => this.set({ opacity: Number(this.opacity.value) })
    this.number = make('span')
    const [back, forth] = [-1, 1].map((step) =>
      make('button', {
        type: 'button',
        textContent: step < 0 ? '‹' : '›',
        title: step < 0 ? words.previous : words.next,
        onclick: () => this.turn(step),
      }),
    )
    this.pager = make('span', { className: 'pager' }, {}, back, this.number, forth)
    this.canvas = make('canvas', { title: words.stage })
    this.marker = make('div', { className: 'marker', hidden: true })
    this.stage = make('div', { className: 'stage' }, {}, make('div', { className: 'frame' }, {}, this.canvas, this.marker))
    this.list = make('ol')
    this.message = make('p')
    const bar = make('div', { className: 'bar' }, {}, ...this.views, this.opacity, this.pager)
    this.element = make('div', { className: 'concept-explorer', tabIndex: 0 }, { captureWheel: true }, bar, this.stage, this.list, this.message)
    this.listen()
  }

  listen() {
    const { canvas, element, list } = this
    canvas.onpointermove = canvas.onpointerdown = (event) => this.look(event)
    canvas.onpointerleave = (event) => event.pointerType === 'mouse' && this.lookAway()
    canvas.onclick = (event) => {
      element.focus({ preventScroll: true })
      this.look(event)
      const [strongest] = this.ranked().filter(({ place }) => place < this.maps.shown)
      this.pin(strongest.place, event.shiftKey)
    }
    list.onpointerover = (event) => this.hover(placeOf(event))
    list.onpointerleave = () => this.hover(null)
    list.onclick = (event) => {
      element.focus({ preventScroll: true })
      const place = placeOf(event)
      if (place !== null) this.pin(place, event.shiftKey || event.target.closest('button') !== null)
    }
    element.onkeydown = (event) => this.key(event)
  }

  /** Show maps and their pictures, none or one for all or one each. */
  show(maps, pictures) {
    Object.assign(this, { maps, pictures, spot: null, hovered: null, current: null })
    this.smooth.clear()
    const [height, width] = maps.about.image_size
    const scale = Math.min(1, LONGEST / Math.max(height, width))
    this.canvas.width = Math.max(1, Math.round(width * scale))
    this.canvas.height = Math.max(1, Math.round(height * scale))
    this.axes = maps.axes(this.canvas.width, this.canvas.height)
    this.canvas.parentElement.style.setProperty('--ratio', width / height)
    this.tell('')
    this.element.classList.remove('without-maps')
    this.refresh()
  }

  say(text) {
    this.maps = null
    this.element.classList.add('without-maps')
    this.tell(text)
  }

  tell(text) {
    this.message.textContent = text
    this.message.hidden = !text
  }

  set(changes) {
    this.host.state = { ...this.host.state, ...changes }
    this.refresh()
  }

  get picture() {
    return Math.min(this.host.state.picture, this.maps.count - 1)
  }

  get pinned() {
    return this.maps.members(this.host.pinned)
  }

  /** The concepts whose map is seen: what the mouse rests on, else what the keys chose, else what is pinned, else the first. */
  get seen() {
    if (this.hovered !== null) return [this.hovered]
    if (this.current !== null) return [this.current]
    return this.pinned.length ? this.pinned : [0]
  }

  pin(place, together) {
    const { pinned } = this
    const others = pinned.filter((member) => member !== place)
    const kept = pinned.includes(place) && (together || pinned.length === 1) ? others : together ? [...pinned, place] : [place]
    this.current = null
    this.host.pinned = this.maps.text(kept)
    this.refresh()
    this.tell(this.host.isGiven('pinned') ? this.host.words.given : '')
  }

  turn(step) {
    this.spot = null
    this.set({ picture: (this.picture + step + this.maps.count) % this.maps.count })
  }

  key(event) {
    if (!this.maps || event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    const turn = { ArrowUp: -1, ArrowDown: 1 }[event.key]
    if (step) {
      const [from] = this.seen
      this.current = (Math.min(from, this.maps.shown - (step > 0 ? 1 : 0)) + step + this.maps.shown) % this.maps.shown
    } else if (turn) this.turn(turn)
    else if (event.key === 'Enter' || event.key === ' ') this.pin(this.seen[0], event.shiftKey)
    else return
    event.preventDefault()
    event.stopPropagation()
    this.refresh()
  }

  hover(place) {
    if (place === this.hovered) return
    this.hovered = place
    if (this.host.state.view !== 'segmentation') this.draw()
    this.mark()
  }

  look(event) {
    if (!this.maps) return
    const box = this.canvas.getBoundingClientRect() // as it is on the screen, at any zoom
    const at = (position, start, length, pixels) => Math.min(Math.max(Math.floor(((position - start) / length) * pixels), 0), pixels - 1)
    this.spot = {
      x: at(event.clientX, box.left, box.width, this.canvas.width),
      y: at(event.clientY, box.top, box.height, this.canvas.height),
    }
    this.rank()
    this.mark()
  }

  lookAway() {
    this.spot = null
    this.rank()
    this.mark()
  }

  refresh() {
    if (!this.maps) return
    const { view, opacity } = this.host.state
    for (const button of this.views) button.setAttribute('aria-pressed', button.dataset.view === view)
    this.opacity.value = opacity
    this.pager.hidden = this.maps.count < 2
    this.number.textContent = `${this.picture + 1} / ${this.maps.count}`
    this.draw()
    this.rank()
    this.mark()
  }

  draw() {
    const { width, height } = this.canvas
    const context = this.canvas.getContext('2d')
    context.globalAlpha = 1
    context.fillStyle = 'black'
    context.fillRect(0, 0, width, height)
    const picture = this.pictures[this.pictures.length > 1 ? this.picture : 0]
    if (picture) context.drawImage(picture, 0, 0, width, height)
    const layer = new OffscreenCanvas(width, height)
    layer.getContext('2d').putImageData(this.overlay(width, height), 0, 0)
    context.globalAlpha = picture ? this.host.state.opacity : 1
    context.drawImage(layer, 0, 0)
  }

  overlay(width, height) {
    const { about, concepts, shown } = this.maps
    const { view } = this.host.state
    if (view === 'segmentation') {
      const all = Array.from({ length: concepts }, (_, place) => this.smoothed([place]))
      return segmentation(all, shown, about.palette, width, height)
    }
    const map = this.smoothed(this.seen)
    if (view === 'mask') {
      const range = about.shares ? [0, 1] : extremes(this.maps.map(this.picture, this.seen))
      return mask(map, this.host.threshold, range, width, height)
    }
    return heatmap(map, this.maps.range(this.picture), about.colormap, width, height)
  }

  smoothed(members) {
    const key = `${this.picture} ${members}`
    if (!this.smooth.has(key)) {
      if (this.smooth.size >= Math.max(CACHED, this.maps.concepts + 1)) this.smooth.clear()
      this.smooth.set(key, this.maps.smooth(this.picture, members, this.axes))
    }
    return this.smooth.get(key)
  }

  /** Every concept's value at the spot, highest first; without a spot the shown ones and their presence, as they were named. */
  ranked() {
    const { maps } = this
    if (!this.spot) return Array.from({ length: maps.shown }, (_, place) => ({ place, value: maps.presence(this.picture, place) }))
    const all = maps.names.map((_, place) => ({ place, value: maps.at(this.picture, place, this.axes, this.spot) }))
    return all.sort((a, b) => b.value - a.value)
  }

  rank() {
    const { maps } = this
    const [low, high] = maps.about.shares ? [0, 1] : maps.range(this.picture)
    const rows = this.ranked().map(({ place, value }) => {
      const background = place >= maps.shown
      const swatch = make('i', { className: 'swatch' })
      if (!background) swatch.style.background = `rgb(${rgb(maps.about.palette[place % maps.about.palette.length])})`
      const bar = make('b')
      bar.style.width = `${100 * Math.min(Math.max((value - low) / (high - low || 1), 0), 1)}%`
      const share = maps.about.shares ? `${Math.round(100 * value)} %` : value.toFixed(1)
      const pin = make('button', { type: 'button', title: this.host.words.pin, ariaLabel: this.host.words.pin, textContent: '⚲' })
      const name = make('span', { className: 'name', textContent: maps.names[place] })
      const title = background ? this.host.words.background : this.host.words.row
      return make('li', { title, className: background ? 'background' : '' }, { place }, swatch, name, bar, make('em', { textContent: share }), pin)
    })
    this.list.replaceChildren(...rows)
  }

  mark() {
    const { seen, pinned, spot } = this
    for (const row of this.list.children) {
      row.classList.toggle('seen', seen.includes(Number(row.dataset.place)))
      row.classList.toggle('pinned', pinned.includes(Number(row.dataset.place)))
    }
    this.marker.hidden = !spot
    if (!spot) return
    this.marker.style.left = `${(100 * (spot.x + 0.5)) / this.canvas.width}%`
    this.marker.style.top = `${(100 * (spot.y + 0.5)) / this.canvas.height}%`
  }
}

function placeOf(event) {
  const row = event.target.closest('li')
  return row ? Number(row.dataset.place) : null
}

function make(tag, properties = {}, data = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  Object.assign(element.dataset, data)
  element.append(...children)
  return element
}
