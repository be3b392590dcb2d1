// What runs tell the panels besides their results: that one has begun, that it failed and why.

import { api } from '../../../scripts/api.js'

export const panels = new Map() // node → its panel

export function follow(node, panel) {
  panels.set(node, panel)
  const { onRemoved } = node
  node.onRemoved = function () {
    panels.delete(node)
    return onRemoved?.call(this)
  }
}

/** The last part of an id is the node's in its own graph; what comes before are the subgraphs around it. */
function is(node, id) {
  const parts = String(id).split(':')
  return parts.at(-1) === String(node.id) && parts.length > 1 === (node.graph !== (node.graph.rootGraph ?? node.graph))
}

/** Whether the graph that is open has that node: runs of another workflow are told of too. */
function isHere(node, id, type) {
  const [first, ...inner] = String(id).split(':')
  const found = (node.graph.rootGraph ?? node.graph).nodes.find((other) => String(other.id) === first)
  return found !== undefined && (inner.length > 0 || found.type === type)
}

function all(then) {
  return ({ detail }) => {
    for (const [node, panel] of panels) if (node.graph) then(node, panel, detail)
  }
}

api.addEventListener('execution_start', all((_, panel) => panel.begin()))
api.addEventListener(
  'execution_cached',
  all((node, panel, { nodes }) => nodes.some((id) => is(node, id)) && panel.end()),
)
api.addEventListener('execution_success', all((_, panel) => panel.end()))
api.addEventListener('execution_interrupted', all((_, panel) => panel.fail('')))
api.addEventListener(
  'execution_error',
  all((node, panel, { node_id, node_type, exception_message }) => {
    if (!isHere(node, node_id, node_type)) return
    const where = is(node, node_id) ? '' : (window.LiteGraph.registered_node_types[node_type]?.title ?? node_type)
    panel.fail(exception_message.trim(), where)
  }),
)
