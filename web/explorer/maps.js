// Concept maps in the browser: the numbers that concept_core/draw/explorer.py packs, and what is asked of them.

import { added, taken } from './selection.js'

const LEVELS = 65535

export class ConceptMaps {
  /**
   * edges: for each picture or frame and concept its map with the picture's edges, { width, height, levels }; none without pictures.
   * things: whose each pixel is among a concept's things, likewise, numbers from 1 on; none of clips and raw scores.
   */
  constructor(about, edges, things = []) {
    this.about = about
    this.edges = edges
    this.things = things
    this.names = about.names
    this.shown = about.shown
    this.isClip = about.is_clip
    ;[this.count, this.concepts, this.rows, this.columns] = about.shape
    const bytes = Uint8Array.from(atob(about.values), (char) => char.charCodeAt(0))
    const view = new DataView(bytes.buffer)
    const step = (about.high - about.low) / LEVELS
    this.values = Float32Array.from({ length: bytes.length / 2 }, (_, i) => about.low + step * view.getUint16(2 * i, true))
  }

  /**
   * The map of one concept, or the joined map of several: the sum of shares, the highest of raw scores. Those that are taken away, ~place,
   * are subtracted, so it may be below 0.
   */
  map(picture, places) {
    return this.join(places, (place) => this.tokens(picture, place))
  }

  tokens(picture, member) {
    const size = this.rows * this.columns
    return this.values.subarray((picture * this.concepts + member) * size, (picture * this.concepts + member + 1) * size)
  }

  join(places, mapOf) {
    const both = (one, other) => one.map((value, i) => (this.about.shares ? value + other[i] : Math.max(value, other[i])))
    const more = added(places).map(mapOf).reduce(both)
    const less = taken(places).map(mapOf)
    if (!less.length) return more
    const all = less.reduce(both)
    return more.map((value, i) => value - all[i])
  }

  /** That map with its picture's edges, { width, height, values }; smooth where there is no picture. */
  edged(picture, places, axes) {
    const { down, across } = axes
    if (!this.edges.length) return { width: across.pixels, height: down.pixels, values: this.smooth(picture, places, axes) }
    const values = this.join(places, (place) => {
      const [low, high] = extremes(this.tokens(picture, place))
      return Float32Array.from(this.edges[picture][place].levels, (level) => low + (level / 255) * (high - low))
    })
    const { width, height } = this.edges[picture][places[0]]
    return { width, height, values: atLeast0(values, places) }
  }

  /** Which thing of a concept a spot of a picture so wide and high belongs to, or 0. */
  thingAt(picture, place, { x, y }, width, height) {
    const owners = this.things[picture]?.[place]
    if (!owners) return 0
    const at = (pixel, side, drawn) => Math.floor(((pixel + 0.5) * drawn) / side)
    return owners.levels[at(y, height, owners.height) * owners.width + at(x, width, owners.width)]
  }

  /** How many things of a concept there are in a picture. */
  countOf(picture, place) {
    const owners = this.things[picture]?.[place]
    return owners ? extremes(owners.levels)[1] : 0
  }

  /** 1 within the things that are meant, of each concept where it has most; edged: the map of one concept, like `edged`. */
  withinThings(picture, members, edged) {
    const all = added(members).map((place) => edged([place]))
    const [{ width, height }] = all
    return Uint8Array.from({ length: width * height }, (_, i) => {
      let most = 0
      for (let at = 1; at < all.length; at++) if (all[at].values[i] > all[most].values[i]) most = at
      const meant = members.things[most]
      const spot = { x: i % width, y: Math.floor(i / width) }
      return !meant.length || meant.includes(this.thingAt(picture, members[most], spot, width, height)) ? 1 : 0
    })
  }

  /** From which value on the joined map is in a mask: the threshold of shares, and of raw scores that part of their way. */
  least(picture, places, threshold) {
    if (this.about.shares) return threshold
    const [low, high] = extremes(atLeast0(this.map(picture, places), places))
    return low + threshold * (high - low || 1)
  }

  /** That map at picture size, smooth, as resize.upsample makes it: what the heatmap shows. */
  smooth(picture, places, { down, across }) {
    return atLeast0(upsample(this.map(picture, places), this.columns, down, across), places)
  }

  /** One concept's value at a single pixel of that. */
  at(picture, member, { down, across }, { x, y }) {
    return upsample(this.map(picture, [member]), this.columns, pixelOf(down, y), pixelOf(across, x))[0]
  }

  /** How sure the maps are that a concept is in the picture, 0 to 1; of raw scores their highest. */
  presence(picture, member) {
    return this.about.presence ? this.about.presence[picture][member] : extremes(this.map(picture, [member]))[1]
  }

  /** That too, of the background list as well, whose presence is not sent along. */
  presenceOf(picture, member) {
    return member < this.shown ? this.presence(picture, member) : extremes(this.map(picture, [member]))[1]
  }

  /** What `smooth` and `at` need for a width and height in pixels. */
  axes(width, height) {
    const [imageHeight, imageWidth] = this.about.image_size
    return {
      down: axis(this.rows, height, (this.about.pixels_per_token * height) / imageHeight),
      across: axis(this.columns, width, (this.about.pixels_per_token * width) / imageWidth),
    }
  }

  /** Lowest and highest value over the shown concepts of a picture, or of all frames of a clip: the scale of its heatmaps. */
  range(picture) {
    if (!this.isClip) return extremes(this.ofShown(picture))
    this.ofClip ??= extremes(Array.from({ length: this.count }, (_, frame) => extremes(this.ofShown(frame))).flat())
    return this.ofClip
  }

  ofShown(picture) {
    const size = this.rows * this.columns
    return this.values.subarray(picture * this.concepts * size, (picture * this.concepts + this.shown) * size)
  }
}

/** Nothing is below 0 where something is taken away. */
const atLeast0 = (values, places) => (taken(places).length ? values.map((value) => Math.max(value, 0)) : values)

export function extremes(values) {
  let low = Infinity
  let high = -Infinity
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return [low, high]
}

/** For each pixel along one side the four tokens and weights of bicubic interpolation (a = -0.75), half a pixel inwards. */
function axis(tokens, pixels, scale) {
  const places = new Int32Array(4 * pixels)
  const weights = new Float32Array(4 * pixels)
  const last = Math.floor(tokens * scale) - 1
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = (Math.min(pixel, last) + 0.5) / scale - 0.5
    const left = Math.floor(at)
    for (let tap = 0; tap < 4; tap++) {
      places[4 * pixel + tap] = Math.min(Math.max(left + tap - 1, 0), tokens - 1)
      weights[4 * pixel + tap] = cubic(Math.abs(at - (left + tap - 1)))
    }
  }
  return { places, weights, pixels }
}

function cubic(distance) {
  const a = -0.75
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1
  return distance < 2 ? ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a : 0
}

function pixelOf({ places, weights }, pixel) {
  return { places: places.subarray(4 * pixel, 4 * pixel + 4), weights: weights.subarray(4 * pixel, 4 * pixel + 4), pixels: 1 }
}

/** Rows first, then columns, within the map's own range. */
function upsample(map, columns, down, across) {
  const [low, high] = extremes(map)
  const tall = new Float32Array(down.pixels * columns)
  for (let y = 0; y < down.pixels; y++) {
    for (let tap = 0; tap < 4; tap++) {
      const weight = down.weights[4 * y + tap]
      const from = down.places[4 * y + tap] * columns
      for (let x = 0; x < columns; x++) tall[y * columns + x] += weight * map[from + x]
    }
  }
  const full = new Float32Array(down.pixels * across.pixels)
  for (let y = 0; y < down.pixels; y++) {
    const from = y * columns
    for (let x = 0; x < across.pixels; x++) {
      let sum = 0
      for (let tap = 0; tap < 4; tap++) sum += across.weights[4 * x + tap] * tall[from + across.places[4 * x + tap]]
      full[y * across.pixels + x] = Math.min(Math.max(sum, low), high)
    }
  }
  return full
}
