// What can be taken along from the Explorer: the picture with its legend, the mask to paint on, and the numbers.

import { mask, rgb } from './drawing.js'
import { union } from './masks.js'
import { number } from './ranking.js'

const LINE = 24
const MARGIN = 12
const LEAST_WIDTH = 512

/** [{ name, act }] for buttons and for the node's menu; name: among the panel's words. */
export function actionsOf(panel) {
  const safely = (act) => async () => {
    try {
      await act()
    } catch (error) {
      panel.hint = `${error}` // the clipboard may be closed to pages that are not local
      panel.note()
    }
  }
  const png = () => withLegend(panel).convertToBlob({ type: 'image/png' })
  return [
    { name: 'copyPicture', act: safely(() => navigator.clipboard.write([new ClipboardItem({ 'image/png': png() })])) },
    { name: 'savePicture', act: safely(async () => save(await png(), 'concepts.png')) },
    { name: 'editMask', act: safely(() => edit(panel)) },
    { name: 'copyNumbers', act: safely(() => navigator.clipboard.writeText(numbers(panel.maps))) },
  ]
}

/** What the panel's picture shows, and below it each concept's colour, name and presence. */
function withLegend({ canvas, maps, picture }) {
  const scale = Math.max(1, Math.round(LEAST_WIDTH / canvas.width))
  const [width, height] = [canvas.width * scale, canvas.height * scale]
  const drawn = new OffscreenCanvas(width, height + maps.shown * LINE + 2 * MARGIN)
  const context = drawn.getContext('2d')
  context.fillStyle = 'white'
  context.fillRect(0, 0, drawn.width, drawn.height)
  context.drawImage(canvas, 0, 0, width, height)
  context.font = '15px sans-serif'
  context.textBaseline = 'middle'
  for (let place = 0; place < maps.shown; place++) {
    const middle = height + MARGIN + (place + 0.5) * LINE
    context.fillStyle = `rgb(${rgb(maps.about.colours[place])})`
    context.fillRect(MARGIN, middle - 7, 14, 14)
    context.fillStyle = 'black'
    context.textAlign = 'left'
    context.fillText(maps.names[place], MARGIN + 24, middle, width - 120)
    context.textAlign = 'right'
    context.fillText(number(maps.presence(picture, place), maps), width - MARGIN, middle)
  }
  return drawn
}

async function edit(panel) {
  const { words } = panel.host
  const image = panel.pictures[panel.pictures.length > 1 ? panel.picture : 0]
  if (image) await panel.host.edit(image, panel.picture, maskOf(panel, image))
  panel.hint = image ? words.edited : words.noPicture
  panel.note()
}

/** The selected concepts' mask as large as the picture, clear within. */
function maskOf(panel, { naturalWidth, naturalHeight }) {
  const { selections } = panel.selected
  const { width, height } = panel.edged([0])
  const within = selections.length ? union(selections.map((members) => panel.masked(members))) : new Uint8Array(width * height)
  const small = new OffscreenCanvas(width, height)
  small.getContext('2d').putImageData(mask(within, width, height), 0, 0)
  const drawn = new OffscreenCanvas(naturalWidth, naturalHeight)
  const context = drawn.getContext('2d')
  context.imageSmoothingEnabled = false
  context.drawImage(small, 0, 0, naturalWidth, naturalHeight)
  return drawn
}

/** A line for each picture, tabs between: what a spreadsheet takes. */
function numbers(maps) {
  const places = [...Array(maps.shown).keys()]
  const lines = Array.from({ length: maps.count }, (_, picture) => [picture + 1, ...places.map((place) => maps.presence(picture, place))])
  return [['', ...maps.names.slice(0, maps.shown)], ...lines].map((line) => line.join('\t')).join('\n')
}

function save(blob, name) {
  const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href))
}
