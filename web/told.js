// What a node told of its result, such as that nothing is found of a concept, stands in the node.

import { app } from '../../scripts/app.js'

app.registerExtension({
  name: 'ConceptAttention.Told',

  setup() {
    const href = new URL('./told.css', import.meta.url).href
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href }))
  },

  beforeRegisterNodeDef(nodeType, { name }) {
    if (!name.startsWith('ConceptAttention')) return
    const { onExecuted } = nodeType.prototype
    nodeType.prototype.onExecuted = function (output) {
      onExecuted?.call(this, output)
      if (output?.concept_attention_told) show(this, output.concept_attention_told)
    }
  },
})

function show(node, lines) {
  const widget = node.widgets.find(({ name }) => name === 'told') ?? (lines.length > 0 && add(node))
  if (!widget) return
  widget.element.firstChild.textContent = lines.join('\n')
  widget.hidden = !lines.length
  node.setDirtyCanvas(true, true)
}

function add(node) {
  const element = Object.assign(document.createElement('div'), { className: 'concept-told' })
  element.append(document.createElement('p'))
  const options = { serialize: false, hideInPanel: true, getMinHeight: () => 44, getMaxHeight: () => 88 }
  const widget = node.addDOMWidget('told', 'CONCEPT_TOLD', element, options)
  widget.serialize = false
  return widget
}
