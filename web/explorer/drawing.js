// From maps to the pixels that lie over the picture: heatmap, mask and segmentation, each as ImageData.

const DIMMED = [12, 12, 16]
const GREY = 0.55 // of its brightness: what lies over a picture stands out
const CLEAR = 0.4 // of the way from low to high: below it a heatmap lets the picture through, the more the lower
const FAINT = 60 // of 255

/** A picture's pixels without colour, a little darker. */
export function grey({ data, width, height }) {
  return paint(width, height, (pixels, i) => {
    const light = GREY * (0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2])
    pixels.set([light, light, light, 255], 4 * i)
  })
}

/** The colours of a map between `low` and `high`; low values are clear. */
export function heatmap(map, [low, high], colormap, width, height) {
  const table = tableOf(colormap)
  return paint(width, height, (pixels, i) => {
    const way = Math.min(Math.max((map[i] - low) / (high - low || 1), 0), 1)
    const level = Math.round(way * 255)
    pixels.set(table.subarray(3 * level, 3 * level + 3), 4 * i)
    pixels[4 * i + 3] = Math.min(1, way / CLEAR) * 255
  })
}

/** Dark wherever the mask is not; clear elsewhere. */
export function mask(within, width, height) {
  return paint(width, height, (pixels, i) => {
    if (within[i]) return
    pixels.set(DIMMED, 4 * i)
    pixels[4 * i + 3] = 255
  })
}

/** Each spot in the colour of the concept that has most of it, all but one faint if one is given; clear where the background list wins. */
export function segmentation(maps, shown, colours, one, width, height) {
  const painted = colours.map(rgb)
  return paint(width, height, (pixels, i) => {
    let winner = 0
    for (let place = 1; place < maps.length; place++) if (maps[place][i] > maps[winner][i]) winner = place
    if (winner >= shown) return
    pixels.set(painted[winner], 4 * i)
    pixels[4 * i + 3] = one === null || winner === one ? 255 : FAINT
  })
}

function paint(width, height, pixel) {
  const data = new ImageData(width, height)
  for (let i = 0; i < width * height; i++) pixel(data.data, i)
  return data
}

function tableOf(colormap) {
  const stops = colormap.map(rgb)
  const table = new Uint8Array(3 * 256)
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) * (stops.length - 1)
    const left = Math.min(Math.floor(at), stops.length - 2)
    for (let c = 0; c < 3; c++) table[3 * level + c] = Math.round(stops[left][c] + (at - left) * (stops[left + 1][c] - stops[left][c]))
  }
  return table
}

export function rgb(hex) {
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16))
}
