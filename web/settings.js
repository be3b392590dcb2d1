// What a user may set for all graphs, and the pack's badge on the About page.

import { app } from '../../scripts/app.js'

export const preferred = { colormap: 'plasma', opacity: 0.7 }
const listeners = new Set()

app.registerExtension({
  name: 'ConceptAttention.Settings',

  settings: [
    {
      id: 'ConceptAttention.Heatmaps.Colormap',
      category: ['Concept Attention', 'Heatmaps', 'Colormap'],
      name: 'Colour map of heatmaps',
      tooltip: 'Concept Explorer uses it. A new Concept Heatmap node starts with it.',
      type: 'combo',
      options: ['plasma', 'viridis', 'magma', 'inferno', 'turbo', 'gray'],
      defaultValue: preferred.colormap,
      onChange: (colormap) => set({ colormap }),
    },
    {
      id: 'ConceptAttention.Heatmaps.Opacity',
      category: ['Concept Attention', 'Heatmaps', 'Opacity'],
      name: 'Opacity of heatmaps over the picture',
      tooltip: 'New Concept Explorer and Concept Heatmap nodes start with it.',
      type: 'slider',
      attrs: { min: 0, max: 1, step: 0.05 },
      defaultValue: preferred.opacity,
      onChange: (opacity) => set({ opacity }),
    },
  ],

  aboutPageBadges: [{ label: 'Concept Attention: the paper', url: 'https://arxiv.org/abs/2502.04320', icon: 'pi pi-book' }],

  nodeCreated(node) {
    if (node.comfyClass !== 'ConceptAttentionHeatmap') return
    for (const widget of node.widgets) if (widget.name in preferred) widget.value = preferred[widget.name]
  },
})

/** Called when one of them changes. */
export function onPreferred(listener) {
  listeners.add(listener)
}

function set(changes) {
  Object.assign(preferred, changes)
  for (const listener of listeners) listener()
}
