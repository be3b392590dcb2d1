// Concept Mask: what has no effect is greyed out.

import { app } from '../../scripts/app.js'

app.registerExtension({
  name: 'ConceptAttention.Mask',

  nodeCreated(node) {
    if (node.comfyClass !== 'ConceptAttentionMask') return
    const widget = (name) => node.widgets.find((other) => other.name === name)
    const isConnected = (name) => node.isInputConnected(node.findInputSlot(name))
    const update = () => {
      widget('threshold').disabled = widget('method').value !== 'threshold' && !isConnected('method')
      widget('edge_radius').disabled = !isConnected('image')
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
