// The maps of the last run stay with the browser's tab, not with the workflow: a run is no change of it.

/**
 * Two keys find them. One is the node's own, so that they are there again after undo, and for a copy, which takes a key of its own when
 * it runs. The other is the node's place in the graph, for a page that is loaded anew before the workflow was stored with the first.
 */
export function remember(node, state, file) {
  const isKey = (key) => key && !node.graph.nodes.some((other) => other !== node && other.properties[state]?.key === key)
  const properties = node.properties[state] ?? {}
  if (!isKey(properties.key)) node.properties[state] = { ...properties, key: crypto.randomUUID?.() ?? String(Math.random()) }
  for (const key of keys(node, state)) sessionStorage.setItem(`${state} ${key}`, file)
}

/** { file, isOwn: whether it is this very node's, and not of one that was in its place }. */
export function remembered(node, state) {
  for (const key of keys(node, state)) {
    const file = sessionStorage.getItem(`${state} ${key}`)
    if (file) return { file, isOwn: key === node.properties[state]?.key }
  }
}

function keys(node, state) {
  return [node.properties[state]?.key, node.graph && `${node.graph.id} ${node.id}`].filter(Boolean)
}
