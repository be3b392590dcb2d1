// A graph that was saved before a widget was there keeps its results: the widget gets the value that stands for what was done then.

import { app } from '../../scripts/app.js'

const THEN = { ConceptAttentionDecode: { steps: 'all' } }

app.registerExtension({
  name: 'ConceptAttention.StoredGraphs',

  nodeCreated(node) {
    const then = THEN[node.comfyClass]
    if (!then) return
    const configured = node.onConfigure
    node.onConfigure = function (info) {
      configured?.call(this, info)
      const saved = info.widgets_values?.length ?? 0
      this.widgets.forEach((widget, place) => {
        if (place >= saved && widget.name in then) widget.value = then[widget.name]
      })
    }
  },
})
