// The mask of what is selected, as a picture of its own: to be saved, or dragged to the desktop or into the graph.

import { mask } from './drawing.js'
import { make } from './elements.js'
import { union } from './masks.js'
import { write } from './selection.js'

const PNG = 'image/png'
let dragged = [] // addresses that are read only after the drop

/** The selected concepts' mask at that size, clear within. */
export function maskOf(panel, width, height) {
  const { selections } = panel.selected
  const edged = panel.edged([0])
  const within = selections.length ? union(selections.map((members) => panel.masked(members))) : new Uint8Array(edged.width * edged.height)
  const small = new OffscreenCanvas(edged.width, edged.height)
  small.getContext('2d').putImageData(mask(within, edged.width, edged.height), 0, 0)
  const drawn = new OffscreenCanvas(width, height)
  const context = drawn.getContext('2d')
  context.imageSmoothingEnabled = false
  context.drawImage(small, 0, 0, width, height)
  return drawn
}

/** White on black, as large as the picture: { name, blob }. */
export function maskFile(panel) {
  const blob = png(panel, (context, outside) => {
    cover(context, 'white')
    context.globalCompositeOperation = 'destination-out'
    context.drawImage(outside, 0, 0)
    context.globalCompositeOperation = 'destination-over'
    cover(context, 'black')
  })
  return { name: nameOf(panel), blob }
}

/** The picture clear within the mask, as ComfyUI's mask editor leaves it: Load Image takes the mask from that. */
function clearWithin(panel) {
  return png(panel, (context, outside) => {
    if (panel.image) context.drawImage(panel.image, 0, 0)
    else cover(context, 'black')
    context.globalCompositeOperation = 'destination-in'
    context.drawImage(outside, 0, 0)
  })
}

/** What a drag carries: the file for the desktop, and for the graph the address of a picture, of which it makes a Load Image node. */
export function drag(panel, transfer) {
  for (const address of dragged) URL.revokeObjectURL(address)
  const { name, blob } = maskFile(panel)
  dragged = [blob, clearWithin(panel)].map((part) => URL.createObjectURL(part))
  const [forDesktop, forGraph] = dragged
  transfer.effectAllowed = 'copy'
  transfer.setData('DownloadURL', `${PNG}:${name}:${forDesktop}`)
  transfer.setData('text/uri-list', `${forGraph}#/${name}`) // a node that it is dropped on takes the name from there,
  transfer.setData('application/x-comfy-asset-info', JSON.stringify({ display_name: name })) // the graph from here
}

/** At once, since a drag does not wait. paint: with a context, and a picture of its size that is clear within the mask. */
function png(panel, paint) {
  const [height, width] = panel.image ? [panel.image.naturalHeight, panel.image.naturalWidth] : panel.maps.about.image_size
  const canvas = make('canvas', { width, height })
  paint(canvas.getContext('2d'), maskOf(panel, width, height))
  const [, text] = canvas.toDataURL(PNG).split(',')
  return new Blob([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))], { type: PNG })
}

function cover(context, colour) {
  context.fillStyle = colour
  context.fillRect(0, 0, context.canvas.width, context.canvas.height)
}

function nameOf({ selected, maps }) {
  const text = selected.selections.map((members) => write(members, maps.names)).join(' ')
  return `${text.replace(/[^\p{L}\p{N}]+/gu, '_').slice(0, 60)}_mask.png`
}
