// Concept Mask: what has no effect is greyed out.

import { app } from '../../scripts/app.js'

app.registerExtension({
  name: 'ConceptAttention.Mask',

  nodeCreated(node) {
    if (node.comfyClass !== 'ConceptAttentionMask') return
    const widget = (name) => node.widgets.find((other) => other.name === name)
    const isConnected = (name) => node.isInputConnected(node.findInputSlot(name))
    const update = () => {
      disable(widget('threshold'), widget('method').value !== 'threshold' && !isConnected('method'))
      disable(widget('edge_radius'), !isConnected('image'))
    }
    for (const [object, method] of [[widget('method'), 'callback'], [node, 'onConnectionsChange'], [node, 'onConfigure']]) {
      const before = object[method]
      object[method] = function (...args) {
        const result = before?.apply(this, args)
        update()
        return result
      }
    }
    update()
  },
})

/** Nodes that are elements look at the options. */
function disable(widget, isDisabled) {
  widget.disabled = isDisabled
  widget.options.disabled = isDisabled
}
