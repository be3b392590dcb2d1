// What the Explorer shows in its node: toolbar, picture, and the concepts ranked. It keeps no state that a workflow should keep:
// that is the host's.

import { actionsOf } from './actions.js'
import { ClipBar } from './clip.js'
import { heatmap, mask, segmentation } from './drawing.js'
import { ICONS, make } from './elements.js'
import { cut, intersection, union, withoutSmallParts } from './masks.js'
import { Pane } from './pane.js'
import { PromptLine } from './prompt.js'
import { number, placeOf, rows } from './ranking.js'
import { added, meantBy, read, withThings, write } from './selection.js'

const LONGEST = 768 // pixels that are drawn; the browser scales them
const VIEWS = ['heatmap', 'mask', 'segmentation']
const CACHED = 24 // maps at that size
const DRAG = 5 // pixels on the screen: a pointer that moves farther does not click

/**
 * host: { words, selected: text, threshold: number, colormap: its name, state: { view, opacity, picture, beside, things }, keep(changes), isGiven(name) }.
 * What is selected is also written to, and the state is changed by keep; beside: whether two concepts are side by side; things: whether a
 * click takes a single thing; isGiven: whether what is selected, or the threshold, comes from another node.
 */
export class ExplorerPanel {
  constructor(host) {
    this.host = host
    this.maps = this.spot = this.hovered = this.current = this.pressed = null
    this.frame = null // of a clip that plays or is dragged
    this.pictures = []
    this.full = new Map()
    this.failure = this.hint = ''
    this.isEarlier = this.isOriginal = this.isDragged = false
    this.actions = actionsOf(this)
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
    this.clip = new ClipBar(words, {
      show: (frame) => {
        this.frame = frame
        this.refresh()
      },
      keep: (frame) => {
        this.clip.pause()
        this.frame = null
        this.set({ picture: frame })
      },
    })
    this.panes = [new Pane(words.stage), new Pane(words.stage)]
    this.canvas = this.panes[0].canvas
    this.stage = make('div', { className: 'stage' }, {}, this.panes[0].element)
    this.scale = make('div', { className: 'scale' }, {}, make('span'), make('i'), make('span'))
    this.caption = make('span')
    this.buttons = this.actions.map((action) => this.buttonOf(action))
    const caption = make('div', { className: 'caption' }, {}, ...this.buttons, this.caption)
    this.list = make('ol', { tabIndex: -1 })
    this.notes = make('div', { className: 'notes' })
    this.prompt = new PromptLine({
      hover: (place) => this.hover(place),
      select: (place, event) => {
        this.element.focus({ preventScroll: true })
        this.select(place, event.shiftKey)
      },
    })
    const opacity = make('label', { title: words.opacity }, {}, words.opacityShort, this.opacity)
    const bar = make('div', { className: 'bar' }, {}, ...this.views, opacity, this.pager)
    const parts = [bar, this.stage, this.clip.element, this.prompt.element, this.scale, caption, this.list, this.notes]
    this.element = make('div', { className: 'concept-explorer', tabIndex: 0 }, {}, ...parts)
    this.listen()
  }

  buttonOf({ name, act, drag }) {
    const { words } = this.host
    const title = words.hints[name] ?? words[name]
    const button = make('button', { type: 'button', innerHTML: ICONS[name], title, ariaLabel: title, onclick: act })
    if (!drag) return button
    button.draggable = true
    button.ondragstart = (event) => {
      event.stopPropagation()
      this.isDragged = drag(event.dataTransfer)
      if (!this.isDragged) event.preventDefault()
    }
    button.ondragend = () => {
      this.isDragged = false
    }
    return button
  }

  listen() {
    const { element, list } = this
    for (const pane of this.panes) this.listenTo(pane)
    list.onpointerover = (event) => this.hover(placeOf(event))
    list.onpointerleave = () => this.hover(null)
    list.onclick = (event) => {
      list.focus({ preventScroll: true })
      const place = placeOf(event)
      if (place !== null) this.select(place, event.shiftKey || event.target.closest('button') !== null)
    }
    element.ondrop = (event) => {
      if (!this.isDragged) return
      event.preventDefault() // back where it comes from
      event.stopPropagation()
    }
    element.onkeydown = (event) => this.key(event)
    element.onkeyup = element.onblur = list.onblur = () => this.uncover(false)
  }

  listenTo(pane) {
    const { canvas } = pane
    canvas.onpointermove = (event) => this.look(pane, event)
    canvas.onpointerdown = (event) => {
      this.pressed = [event.clientX, event.clientY]
      this.look(pane, event)
    }
    canvas.onpointerleave = (event) => event.pointerType === 'mouse' && this.lookAway()
    canvas.onclick = (event) => {
      const [x, y] = this.pressed ?? [event.clientX, event.clientY]
      if (Math.hypot(event.clientX - x, event.clientY - y) > DRAG) return
      this.element.focus({ preventScroll: true })
      this.look(pane, event)
      const [strongest] = this.ranked().filter(({ place }) => place < this.maps.shown)
      this.select(strongest.place, event.shiftKey, this.takesThings ? this.thingAtSpot(strongest.place) : 0)
    }
  }

  /** Show maps and their pictures, none or one for all or one each. */
  show(maps, pictures) {
    Object.assign(this, { maps, pictures, spot: null, hovered: null, current: null, frame: null, hint: '' })
    this.clip.open(maps)
    this.prompt.open(maps)
    this.full.clear()
    const [height, width] = maps.about.image_size
    const scale = Math.min(1, LONGEST / Math.max(height, width))
    for (const pane of this.panes) pane.resize(...[width, height].map((side) => Math.max(1, Math.round(side * scale))))
    this.axes = maps.axes(this.canvas.width, this.canvas.height)
    this.element.style.setProperty('--ratio', width / height)
    this.element.classList.remove('without-maps')
    this.refresh()
  }

  say(text) {
    this.maps = null
    this.hint = text
    this.element.classList.add('without-maps')
    this.note()
  }

  /** A line below the picture, until the next maps or selection. */
  tell(text) {
    this.hint = text
    this.note()
  }

  /** A run has begun: until its maps come, those that are seen are of an earlier one. */
  begin() {
    this.failure = ''
    this.isEarlier = true
    this.note()
  }

  /** The maps that are seen are those of the last run. */
  end() {
    this.failure = ''
    this.isEarlier = false
    this.note()
  }

  /** The run came to nothing; where: another node, if it was there. */
  fail(message, where) {
    this.failure = message && this.host.words.failed(where) + message
    this.note()
  }

  set(changes) {
    this.host.keep(changes)
    this.refresh()
  }

  get picture() {
    return Math.min(this.frame ?? this.host.state.picture, this.maps.count - 1)
  }

  /** The image that is seen; none if none is connected. */
  get image() {
    return this.pictures[this.pictures.length > 1 ? this.picture : 0]
  }

  /** The heatmap's, from low to high. */
  get colours() {
    return this.maps.about.colormaps[this.host.colormap]
  }

  get isBeside() {
    return Boolean(this.host.state.beside) && this.maps?.names.length > 1
  }

  /** Whether a click takes one thing alone; never of maps that have none. */
  get takesThings() {
    return Boolean(this.host.state.things) && this.maps?.things.length > 0
  }

  /** Which of a concept's things the spot belongs to, or 0. */
  thingAtSpot(place) {
    return this.maps.thingAt(this.picture, place, this.spot, this.canvas.width, this.canvas.height)
  }

  /** The panes that are open. */
  get open() {
    return this.panes.slice(0, this.isBeside ? 2 : 1)
  }

  /** What is selected: { selections, unknown }. */
  get selected() {
    return read(this.host.selected, this.maps.names, this.maps.shown)
  }

  /** For each open pane what is seen in it: side by side the selected concept, and what else is looked at, selected, or comes next. */
  get inPanes() {
    if (!this.isBeside) return [this.seen]
    const { names, shown } = this.maps
    const [first = 0, second] = new Set(added(this.selected.selections.flat()))
    const next = (first + 1) % (shown > 1 ? shown : names.length)
    const other = [this.hovered, this.current, second].find((place) => Number.isInteger(place) && place !== first)
    return [[[first]], [[other ?? next]]]
  }

  /** The concepts whose map is seen: what the mouse rests on, else what the keys chose, else what is selected, else the first. */
  get seen() {
    if (this.hovered !== null) return [[this.hovered]]
    if (this.current !== null) return [[this.current]]
    const { selections } = this.selected
    return selections.length ? selections : [[0]]
  }

  /** That concept, or that thing of it, alone, or together with what is selected; together it is also taken away. */
  select(place, together, thing = 0) {
    const meant = meantBy(together ? this.selected.selections : [])
    const before = meant.get(place)
    meant.delete(place)
    meant.delete(~place)
    const things = !thing ? [] : before?.includes(thing) ? before.filter((other) => other !== thing) : [...(before ?? []), thing].sort((a, b) => a - b)
    if (!before || (thing && things.length)) meant.set(place, things)
    const places = [...meant.keys()]
    this.current = null
    this.host.selected = write(withThings(places, added(places).map((each) => meant.get(each))), this.maps.names)
    this.hint = this.host.isGiven('pinned') ? this.host.words.given : ''
    this.refresh()
  }

  /** The next thing of what is seen, and after the last one all of them. */
  selectNextThing() {
    const [[place]] = this.inPanes.at(-1)
    const [last = 0] = meantBy(this.selected.selections).get(place)?.slice(-1) ?? []
    this.select(place, false, last < this.maps.countOf(this.picture, place) ? last + 1 : 0)
  }

  turn(step) {
    this.spot = null
    this.clip.keep((this.picture + step + this.maps.count) % this.maps.count)
  }

  key(event) {
    const isMine = event.target === this.element || event.target === this.list
    if (!this.maps || !isMine || event.ctrlKey || event.metaKey || event.altKey) return
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    const turn = { ArrowUp: -1, ArrowDown: 1 }[event.key]
    const [[chosen]] = this.inPanes.at(-1)
    if (step) this.current = this.beyond(chosen, step)
    else if (turn) this.turn(turn)
    else if (event.key === 'Enter' || event.key === ' ') this.select(chosen, event.shiftKey)
    else if (event.key.toLowerCase() === 't' && this.maps.things.length) this.set({ things: !this.takesThings })
    else if (event.key.toLowerCase() === 'n' && this.maps.things.length) this.selectNextThing()
    else if (event.key.toLowerCase() === 'c') this.set({ beside: !this.isBeside })
    else if (event.key.toLowerCase() === 'o') return this.uncover(true, event)
    else if (event.key.toLowerCase() === 'p' && this.maps.isClip) this.clip.toggle()
    else return
    event.preventDefault()
    event.stopPropagation()
    this.refresh()
  }

  /** The next of the shown concepts that way, but not what stays beside it. */
  beyond(place, step) {
    const [[stays]] = this.isBeside ? this.inPanes[0] : [[null]]
    const places = [...Array(this.maps.shown).keys()].filter((other) => other !== stays)
    const at = places.indexOf(place)
    return step > 0 ? places[(at + 1) % places.length] : places.at(Math.max(at, 0) - 1)
  }

  /** The picture alone, as long as the key is held. */
  uncover(isOriginal, event) {
    event?.stopPropagation()
    if (!this.maps || isOriginal === this.isOriginal) return
    this.isOriginal = isOriginal
    this.draw()
  }

  hover(place) {
    if (place === this.hovered) return
    this.hovered = place
    this.draw()
    this.mark()
  }

  look(pane, event) {
    if (!this.maps) return
    this.spot = pane.spotOf(event)
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
    for (const [at, { isOn, isThere }] of this.actions.entries()) {
      if (isOn) this.buttons[at].setAttribute('aria-pressed', isOn())
      if (isThere) this.buttons[at].hidden = !isThere()
    }
    if (this.stage.children.length !== this.open.length) this.stage.replaceChildren(...this.open.map((pane) => pane.element))
    this.stage.classList.toggle('beside', this.isBeside)
    this.opacity.value = opacity
    this.pager.hidden = this.maps.count < 2
    this.number.textContent = `${this.picture + 1} / ${this.maps.count}`
    this.scale.hidden = view !== 'heatmap'
    this.element.style.setProperty('--colours', this.colours.map((colour) => `#${colour}`).join(', '))
    const [lowest, , highest] = this.scale.children
    const [low, high] = this.maps.range(this.picture)
    lowest.textContent = number(low, this.maps)
    highest.textContent = number(high, this.maps)
    this.draw()
    this.rank()
    this.mark()
    this.note()
  }

  draw() {
    const { view, opacity } = this.host.state
    for (const [at, selections] of this.inPanes.entries()) {
      const pane = this.panes[at]
      const isBare = this.isOriginal && this.image
      pane.draw(this.image, isBare ? null : this.overlay(selections), opacity, view !== 'mask')
      const [[place]] = selections
      pane.call(this.isBeside ? this.maps.names[place] : '', this.maps.about.colours[place])
    }
  }

  /** selections: of one pane. */
  overlay(selections) {
    const { about, concepts, shown } = this.maps
    const { view } = this.host.state
    if (view === 'segmentation') {
      const all = Array.from({ length: concepts }, (_, place) => this.edged([place]))
      const { width, height } = all[0]
      const maps = all.map(({ values }) => values)
      const one = this.isBeside ? selections[0][0] : this.hovered
      return segmentation(maps, shown, about.colours, one, width, height)
    }
    if (view === 'mask') {
      const masks = selections.map((members) => this.masked(members))
      const { width, height } = this.edged(selections[0])
      return mask(union(masks), width, height)
    }
    const members = selections.length === 1 ? selections[0] : added([...new Set(selections.flat())])
    const all = this.atSize('smooth', members, () => this.maps.smooth(this.picture, members, this.axes))
    const values = selections.length === 1 && members.things ? this.ofThings(members, all) : all
    return heatmap(values, this.maps.range(this.picture), this.colours, this.canvas.width, this.canvas.height)
  }

  /** What Concept Mask makes of joined concepts with the method threshold. */
  masked(members) {
    const { width, values } = this.edged(members)
    const whole = cut(values, this.maps.least(this.picture, members, this.host.threshold))
    const within = members.things ? intersection(whole, this.withinThings(members)) : whole
    return withoutSmallParts(within, width, this.maps.about.min_area * within.length)
  }

  withinThings(members) {
    return this.maps.withinThings(this.picture, members, (places) => this.edged(places))
  }

  /** A map at the size that is drawn, and nothing of it but the things that are meant. */
  ofThings(members, values) {
    const { width, height } = this.edged(members)
    const within = this.withinThings(members)
    const [across, down] = [width / this.canvas.width, height / this.canvas.height]
    const at = (i) => Math.floor((Math.floor(i / this.canvas.width) + 0.5) * down) * width + Math.floor(((i % this.canvas.width) + 0.5) * across)
    return values.map((value, i) => (within[at(i)] ? value : -Infinity))
  }

  edged(members) {
    return this.atSize('edged', members, () => this.maps.edged(this.picture, members, this.axes))
  }

  atSize(kind, members, make) {
    const key = `${kind} ${this.picture} ${members}`
    if (!this.full.has(key)) {
      if (this.full.size >= Math.max(CACHED, this.maps.concepts + 1)) this.full.clear()
      this.full.set(key, make())
    }
    return this.full.get(key)
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
    const { words } = this.host
    const { shares } = maps.about
    const everywhere = maps.isClip ? words.inFrame : words.everywhere
    this.caption.textContent = (this.spot ? words.here : everywhere)[shares ? 0 : 1] + this.thingHere()
    this.list.replaceChildren(...rows(this.ranked(), maps, shares ? [0, 1] : maps.range(this.picture), words))
  }

  /** The thing that a click takes. */
  thingHere() {
    if (!this.spot || !this.takesThings) return ''
    const { place } = this.ranked().find((each) => each.place < this.maps.shown)
    const thing = this.thingAtSpot(place)
    return thing ? `: ${this.maps.names[place]} #${thing}` : ''
  }

  mark() {
    const { spot } = this
    const meant = meantBy(this.selected.selections)
    const seen = this.inPanes.flat(2)
    const selected = this.selected.selections.flat()
    this.clip.mark(this.picture, seen)
    this.prompt.mark(this.maps, this.picture, seen)
    for (const row of this.list.children) {
      const place = Number(row.dataset.place)
      row.classList.toggle('seen', seen.includes(place))
      row.classList.toggle('selected', selected.includes(place))
      row.querySelector('small').textContent = (meant.get(place) ?? []).map((thing) => `#${thing}`).join(' ')
      row.querySelector('button').setAttribute('aria-pressed', selected.includes(place))
    }
    for (const pane of this.panes) pane.mark(spot)
  }

  /** The lines below the picture: what went wrong, what is to be known of the maps, of what is selected. */
  note() {
    const { words } = this.host
    const lines = [['error', this.failure]]
    if (this.maps) {
      const { selections, unknown } = this.selected
      const absent = selections.filter((members) => !this.masked(members).includes(1))
      const names = absent.map((members) => write(members, this.maps.names))
      lines.push(
        ['earlier', this.isEarlier && words.earlier],
        ['warning', unknown.length > 0 && words.unknown(unknown.join(', '))],
        ['warning', !selections.length && words.nothing],
        ['warning', absent.length > 0 && words.absent(names.join(', '))],
      )
    }
    lines.push(['hint', this.hint])
    const told = lines.filter(([, text]) => text)
    this.notes.replaceChildren(...told.map(([className, textContent]) => make('p', { className, textContent })))
    this.notes.hidden = !told.length
  }
}
