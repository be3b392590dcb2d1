// A colour for each of the pack's own sockets and their links, in both renderings; one that the user's palette names goes before it.

import { app } from '../../scripts/app.js'

const COLOURS = {
  CONCEPT_ATTENTION_CONCEPTS: '#e8508f',
  CONCEPT_ATTENTION_RECORDING: '#cd8a55',
  CONCEPT_ATTENTION_MAPS: '#c3dd3c',
}

app.registerExtension({
  name: 'ConceptAttention.Sockets',

  setup() {
    const rules = Object.entries(COLOURS).map(([type, colour]) => `--color-datatype-${type}: ${colour};`)
    document.head.append(Object.assign(document.createElement('style'), { textContent: `:root { ${rules.join(' ')} }` }))
    for (const colours of [app.canvas.default_connection_color_byType, app.canvas.constructor.link_type_colors])
      for (const [type, colour] of Object.entries(COLOURS)) fallBack(colours, type, colour)
  },
})

/** A palette that is loaded empties the colours of all types that it does not name. */
function fallBack(colours, type, colour) {
  let named = colours[type]
  Object.defineProperty(colours, type, {
    enumerable: true,
    get: () => named || colour,
    set: (palettes) => {
      named = palettes
    },
  })
}
