// The mask in ComfyUI's mask editor: in a Load Image node beside the Explorer, whose mask is what was painted.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

const GAP = 40 // between the nodes
const LEAST = [270, 320] // of Load Image with its picture

/**
 * Open what was painted on that mask of that picture before, else the mask itself, which then replaces that of another picture.
 * file: the picture's, in the temporary folder; mask: a canvas of its size that is clear within the mask; memory: { key, loader } of what
 * was opened before. Gives what is to be remembered.
 */
export async function editMask(node, key, file, mask, memory) {
  let loader = node.graph.getNodeById(memory?.loader)
  if (!loader || memory.key !== key) {
    const name = await upload(file, mask)
    loader ??= beside(node)
    load(loader, name)
  }
  app.canvas.selectItems([loader])
  await app.extensionManager.command.execute('Comfy.MaskEditor.OpenMaskEditor')
  return { key, loader: loader.id }
}

/** The picture with the mask in its alpha, as a file among the inputs; its name. */
async function upload(file, mask) {
  const form = new FormData()
  form.append('image', await mask.convertToBlob({ type: 'image/png' }), `concept_mask_${Date.now()}.png`)
  form.append('type', 'input')
  form.append('original_ref', JSON.stringify({ filename: file, subfolder: '', type: 'temp' }))
  const response = await api.fetchApi('/upload/mask', { method: 'POST', body: form })
  if (!response.ok) throw new Error(`/upload/mask: ${response.status} ${await response.text()}`)
  return (await response.json()).name
}

/** A new node to the right, where there is room. */
function beside(node) {
  const loader = window.LiteGraph.createNode('LoadImage')
  const [width, height] = loader.size.map((side, at) => Math.max(side, LEAST[at]))
  const [top, bottom] = [node.pos[1], node.pos[1] + height + GAP]
  let left = node.pos[0] + node.size[0] + GAP
  const isIn = ({ pos, size }) => pos[0] < left + width && pos[0] + size[0] > left && pos[1] < bottom && pos[1] + size[1] > top
  for (let other = node; other; other = node.graph.nodes.find(isIn)) left = Math.max(left, other.pos[0] + other.size[0] + GAP)
  loader.pos = [left, top]
  node.graph.add(loader)
  return loader
}

function load(loader, name) {
  const widget = loader.widgets.find((each) => each.name === 'image')
  const { values } = widget.options
  if (Array.isArray(values) && !values.includes(name)) values.push(name)
  widget.value = name
  widget.callback?.(name)
  loader.images = [{ filename: name, subfolder: '', type: 'input' }]
  loader.previewMediaType = 'image' // which the editor asks for, and which comes with the picture only later
}
