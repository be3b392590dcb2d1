// Concept Explorer: puts the panel into its node, and keeps in the workflow what the panel is told to keep.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { ConceptMaps } from './explorer/maps.js'
import { ExplorerPanel } from './explorer/panel.js'
import { wordsOf } from './explorer/words.js'

const NODE = 'ConceptAttentionExplorer'
const STATE = 'concept_explorer' // among the node's properties: view, opacity, picture, and a key
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
  const used = {} // by the last run
  const isGiven = (name) => node.inputs.some((input) => input.widget?.name === name && input.link !== null)
  const inUse = (name) => (isGiven(name) && name in used ? used[name] : widgets[name].value)
  const host = {
    words: wordsOf(app.extensionManager.setting.get('Comfy.Locale') ?? 'en'),
    isGiven,
    get pinned() {
      return String(inUse('pinned'))
    },
    set pinned(text) {
      if (isGiven('pinned')) return
      app.canvas.emitBeforeChange() // one step of undo
      widgets.pinned.value = text
      widgets.pinned.callback?.(text)
      node.setDirtyCanvas(true, true)
      app.canvas.emitAfterChange()
    },
    get threshold() {
      return Number(inUse('threshold'))
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
    remember(node, host, file)
    load(panel, file, used)
  })
  after(node, 'onConfigure', () => {
    const file = remembered(host)
    if (file) load(panel, file, used)
    panel.refresh()
  })
}

/**
 * The maps of the last run stay with the browser's tab, not with the workflow: a run is no change of it. The key that finds them is
 * the node's, so that they are there again after undo, for a copy, and when page or workflow are loaded anew. A copy that runs takes
 * a key of its own.
 */
function remember(node, host, file) {
  const isKey = (key) => key && !node.graph.nodes.some((other) => other !== node && other.properties[STATE]?.key === key)
  if (!isKey(host.state.key)) host.state = { ...host.state, key: crypto.randomUUID?.() ?? String(Math.random()) }
  sessionStorage.setItem(`${STATE} ${host.state.key}`, file)
}

function remembered(host) {
  return host.state.key && sessionStorage.getItem(`${STATE} ${host.state.key}`)
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

async function load(panel, file, used) {
  if (panel.loading === file) return
  panel.loading = file
  try {
    const response = await api.fetchApi(address(file))
    const about = response.status === 404 ? null : await response.json()
    const pictures = about && (await Promise.all(about.pictures.map(picture)))
    if (panel.loading !== file) return // a newer run
    if (!about) {
      panel.loading = null // a run with the same outcome makes the same file again
      return panel.say(panel.host.words.gone)
    }
    Object.assign(used, { pinned: about.pinned, threshold: about.threshold })
    panel.show(new ConceptMaps(about), pictures)
  } catch (error) {
    panel.loading = null
    panel.say(`${error}`)
    throw error
  }
}

async function picture(file) {
  const image = new Image()
  image.src = api.apiURL(address(file))
  await image.decode()
  return image
}

function address(file) {
  return `/view?${new URLSearchParams({ filename: file, type: 'temp' })}`
}
