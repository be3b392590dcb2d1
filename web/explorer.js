// Concept Explorer: puts the panel into its node, and keeps in the workflow what the panel is told to keep.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { ConceptMaps } from './explorer/maps.js'
import { ExplorerPanel } from './explorer/panel.js'
import { wordsOf } from './explorer/words.js'

const NODE = 'ConceptAttentionExplorer'
const STATE = 'concept_explorer' // among the node's properties: view, opacity, picture and the file of the last run
const FRESH = { view: 'heatmap', opacity: 0.7, picture: 0 }
const SIZE = [360, 600]

app.registerExtension({
  name: 'ConceptAttention.Explorer',

  setup() {
    const href = new URL('./explorer/panel.css', import.meta.url).href
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href }))
  },

  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node)
  },
})

function attach(node) {
  const widgets = Object.fromEntries(node.widgets.map((widget) => [widget.name, widget]))
  const host = {
    words: wordsOf(app.extensionManager.setting.get('Comfy.Locale') ?? 'en'),
    get pinned() {
      return String(widgets.pinned.value)
    },
    set pinned(text) {
      app.canvas.emitBeforeChange() // one step of undo
      widgets.pinned.value = text
      widgets.pinned.callback?.(text)
      app.graph.setDirtyCanvas(true, true)
      app.canvas.emitAfterChange()
    },
    get threshold() {
      return Number(widgets.threshold.value)
    },
    get state() {
      return { ...FRESH, ...node.properties[STATE] }
    },
    set state(state) {
      node.properties[STATE] = state
    },
  }
  const panel = new ExplorerPanel(host)
  const widget = node.addDOMWidget('explorer', 'CONCEPT_EXPLORER', panel.element, { serialize: false, getMinHeight: () => 260 })
  widget.serialize = false
  node.setSize([Math.max(SIZE[0], node.size[0]), Math.max(SIZE[1], node.size[1])])

  after(widgets.pinned, 'callback', () => panel.refresh())
  after(widgets.threshold, 'callback', () => panel.refresh())
  after(node, 'onExecuted', (output) => {
    const [file] = output?.concept_explorer ?? []
    if (!file) return
    host.state = { ...host.state, file }
    load(panel, file)
  })
  after(node, 'onConfigure', () => {
    const { file } = host.state
    if (file) load(panel, file)
    panel.refresh()
  })
}

/** Run `then` after a method that may be there already. */
function after(object, method, then) {
  const before = object[method]
  object[method] = function (...args) {
    const result = before?.apply(this, args)
    then(...args)
    return result
  }
}

async function load(panel, file) {
  if (panel.loading === file.filename) return
  panel.loading = file.filename
  try {
    const response = await api.fetchApi(address(file))
    if (!response.ok) throw new Error(`${response.status}`)
    const about = await response.json()
    const pictures = await Promise.all(about.pictures.map(picture))
    if (panel.loading === file.filename) panel.show(new ConceptMaps(about), pictures)
  } catch {
    if (panel.loading !== file.filename) return
    panel.loading = null
    panel.say(panel.host.words.gone)
  }
}

async function picture(file) {
  const image = new Image()
  image.src = api.apiURL(address(file))
  await image.decode()
  return image
}

function address(file) {
  return `/view?${new URLSearchParams(file)}`
}
