// What the Explorer's node leaves in the server's temporary folder for its panel.

import { api } from '../../../scripts/api.js'
import { ConceptMaps } from './maps.js'

/** { maps, pictures }, or null where the server no longer has them. */
export async function fetchMaps(file) {
  const response = await api.fetchApi(address(file))
  if (response.status === 404) return null
  const about = await response.json()
  const pictures = await Promise.all(about.pictures.map(picture))
  const edges = await Promise.all(about.edges.map((file) => levels(file, about.names.length)))
  const things = await Promise.all((about.things ?? []).map((file) => levels(file, about.names.length)))
  return { maps: new ConceptMaps(about, edges, things), pictures }
}

async function picture(file) {
  const image = new Image()
  image.src = api.apiURL(address(file))
  await image.decode()
  return image
}

/** The numbers of a grey picture, as they are in the file, of so many maps below one another. */
async function levels(file, count) {
  const blob = await (await api.fetchApi(address(file))).blob()
  const image = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' })
  const { width } = image
  const context = new OffscreenCanvas(width, image.height).getContext('2d')
  const height = image.height / count
  context.drawImage(image, 0, 0)
  image.close()
  return Array.from({ length: count }, (_, place) => {
    const { data } = context.getImageData(0, place * height, width, height)
    return { width, height, levels: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) }
  })
}

function address(file) {
  return `/view?${new URLSearchParams({ filename: file, type: 'temp' })}`
}
