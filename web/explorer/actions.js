// What the Explorer's small buttons and its node's menu do: take along the picture with its legend, the mask or the numbers, paint on the
// mask, take single things, and set two concepts side by side.

import { rgb } from './drawing.js'
import { drag, maskFile, maskOf } from './mask_files.js'
import { number } from './ranking.js'

const LINE = 24
const MARGIN = 12
const LEAST_WIDTH = 512

/**
 * [{ name, act, isOn, isThere, drag }] for buttons and for the node's menu; name: among the panel's words. isOn: of what stays on until
 * the next time. isThere: of what some maps have not. drag: fills the transfer of a button that can be dragged; whether it did.
 */
export function actionsOf(panel) {
  const safely = (act) => async () => {
    try {
      await act()
    } catch (error) {
      panel.tell(`${error}`) // the clipboard may be closed to pages that are not local
    }
  }
  const png = () => withLegend(panel).convertToBlob({ type: 'image/png' })
  const withMask = (act) => {
    const isSelected = panel.selected.selections.length > 0
    if (isSelected) act()
    else panel.tell(panel.host.words.selectFirst)
    return isSelected
  }
  return [
    { name: 'copyPicture', act: safely(() => navigator.clipboard.write([new ClipboardItem({ 'image/png': png() })])) },
    { name: 'savePicture', act: safely(async () => save(await png(), 'concepts.png')) },
    { name: 'copyNumbers', act: safely(() => navigator.clipboard.writeText(numbers(panel.maps))) },
    { name: 'editMask', act: safely(() => edit(panel)) },
    {
      name: 'saveMask',
      act: () => withMask(() => saveMask(panel)),
      drag: (transfer) => withMask(() => drag(panel, transfer)),
    },
    {
      name: 'things',
      act: () => panel.set({ things: !panel.takesThings }),
      isOn: () => panel.takesThings,
      isThere: () => panel.maps.things.length > 0,
    },
    { name: 'compare', act: () => panel.set({ beside: !panel.isBeside }), isOn: () => panel.isBeside },
  ]
}

/** What the panel's pictures show, and below it each concept's colour, name and presence. */
function withLegend({ open, canvas, maps, picture }) {
  const scale = Math.max(1, Math.round(LEAST_WIDTH / canvas.width))
  const [width, height] = [canvas.width * scale, canvas.height * scale]
  const whole = open.length * (width + MARGIN) - MARGIN
  const drawn = new OffscreenCanvas(whole, height + maps.shown * LINE + 2 * MARGIN)
  const context = drawn.getContext('2d')
  context.fillStyle = 'white'
  context.fillRect(0, 0, drawn.width, drawn.height)
  context.font = '15px sans-serif'
  context.textBaseline = 'middle'
  for (const [at, pane] of open.entries()) {
    const left = at * (width + MARGIN)
    context.drawImage(pane.canvas, left, 0, width, height)
    if (open.length > 1) label(context, pane.name.textContent, left)
  }
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

/** A name in the corner of a picture that begins there. */
function label(context, name, left) {
  context.textAlign = 'left'
  context.fillStyle = 'white'
  context.fillRect(left, 0, context.measureText(name).width + 12, LINE)
  context.fillStyle = 'black'
  context.fillText(name, left + 6, LINE / 2)
}

async function edit(panel) {
  const { words } = panel.host
  const { image } = panel
  if (image) await panel.host.edit(image, panel.picture, maskOf(panel, image.naturalWidth, image.naturalHeight))
  panel.tell(image ? words.edited : words.noPicture)
}

function saveMask(panel) {
  const { name, blob } = maskFile(panel)
  save(blob, name)
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
