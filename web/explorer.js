// Concept Explorer: puts the panel into its node, and keeps in the workflow what the panel is told to keep.

import { app } from '../../scripts/app.js'
import { handOnToCanvas } from './explorer/canvas_events.js'
import { fetchMaps } from './explorer/files.js'
import { editMask } from './explorer/mask_editor.js'
import { remember, remembered } from './explorer/memory.js'
import { ExplorerPanel } from './explorer/panel.js'
import { follow, panels } from './explorer/runs.js'
import { wordsOf } from './explorer/words.js'
import { onPreferred, preferred } from './settings.js'

const NODE = 'ConceptAttentionExplorer'
const STATE = 'concept_explorer' // among the node's properties: view, opacity, picture, beside, things, a key, and which mask was edited where
const FRESH = { view: 'heatmap', picture: 0 }
const SIZE = [360, 600]

app.registerExtension({
  name: 'ConceptAttention.Explorer',

  setup() {
    const href = new URL('./explorer/panel.css', import.meta.url).href
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href }))
    onPreferred(() => {
      for (const panel of panels.values()) panel.refresh()
    })
  },

  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node)
  },

  getNodeMenuItems(node) {
    const panel = panels.get(node)
    if (!panel?.maps) return []
    const there = panel.actions.filter(({ isThere }) => !isThere || isThere())
    return there.map(({ name, act }) => ({ content: panel.host.words[name], callback: act }))
  },
})

function attach(node) {
  const widgets = Object.fromEntries(node.widgets.map((widget) => [widget.name, widget]))
  const used = {} // by the last run
  const isGiven = (name) => node.isInputConnected(node.inputs.findIndex((input) => input.widget?.name === name))
  const inUse = (name) => (isGiven(name) && name in used ? used[name] : widgets[name].value)
  const host = {
    words: wordsOf(app.extensionManager.setting.get('Comfy.Locale') ?? 'en'),
    isGiven,
    /** picture: an image, and its number; mask: a canvas. */
    async edit(image, picture, mask) {
      const file = new URL(image.src).searchParams.get('filename')
      const key = `${file} ${picture} ${host.threshold} ${host.selected}`
      const edited = await editMask(node, key, file, mask, host.state.edited)
      host.keep({ edited })
    },
    get selected() {
      return String(inUse('pinned'))
    },
    set selected(text) {
      if (isGiven('pinned') || text === widgets.pinned.value) return
      app.canvas.emitBeforeChange() // one step of undo
      widgets.pinned.value = text
      widgets.pinned.callback?.(text)
      node.setDirtyCanvas(true, true)
      app.canvas.emitAfterChange()
    },
    get colormap() {
      return preferred.colormap
    },
    get threshold() {
      return Number(inUse('threshold'))
    },
    get state() {
      return { ...FRESH, opacity: preferred.opacity, ...node.properties[STATE] }
    },
    keep(changes) {
      node.properties[STATE] = { ...node.properties[STATE], ...changes }
    },
  }
  const panel = new ExplorerPanel(host)
  handOnToCanvas(panel.element, panel.list, app)
  addPanel(node, panel.element)
  follow(node, panel)

  after(widgets.pinned, 'callback', () => panel.refresh())
  after(widgets.threshold, 'callback', () => panel.refresh())
  after(node, 'onExecuted', (output) => {
    const [file] = output?.concept_explorer ?? []
    if (!file) return
    remember(node, STATE, file)
    panel.end()
    load(panel, file, used)
  })
  after(node, 'onConfigure', () => {
    const { file, isOwn } = remembered(node, STATE) ?? {}
    if (file && !isOwn) panel.begin()
    if (file) load(panel, file, used)
    panel.refresh()
  })
}

/** Not in the properties panel, which would give it that panel's width and show none of it. */
function addPanel(node, element) {
  const options = { serialize: false, hideInPanel: true, getMinHeight: () => 260 }
  const widget = node.addDOMWidget('explorer', 'CONCEPT_EXPLORER', element, options)
  widget.serialize = false
  Object.defineProperty(widget, 'width', { get: () => undefined, set: () => {} }) // the node's own
  node.setSize([Math.max(SIZE[0], node.size[0]), Math.max(SIZE[1], node.size[1])])
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
    const found = await fetchMaps(file)
    if (panel.loading !== file) return // a newer run
    if (!found) {
      panel.loading = null // a run with the same outcome makes the same file again
      return panel.say(panel.host.words.gone)
    }
    const { pinned, threshold } = found.maps.about
    Object.assign(used, { pinned, threshold })
    panel.show(found.maps, found.pictures)
  } catch (error) {
    panel.loading = null
    panel.say(`${error}`)
    throw error
  }
}
