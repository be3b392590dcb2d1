// Over the panel the wheel zooms and the middle button pans the graph, as over the text boxes of ComfyUI.

/**
 * A panel in a node that the canvas draws lies over it and hands on what it gets. Nodes that are elements hand on by themselves, unless
 * what was clicked captures the wheel. A list that is longer than its window keeps the wheel.
 */
export function handOnToCanvas(element, list, app) {
  const isOverCanvas = () => element.closest('.dom-widget') !== null
  const scrolls = () => list.scrollHeight > list.clientHeight
  const isGesture = ({ ctrlKey, metaKey, deltaX, deltaY }) => ctrlKey || metaKey || Math.abs(deltaX) > Math.abs(deltaY)

  list.addEventListener('pointerenter', () => {
    list.dataset.captureWheel = scrolls()
  })
  element.addEventListener('wheel', (event) => {
    if (!isOverCanvas() || (scrolls() && list.contains(event.target) && !isGesture(event))) return
    event.preventDefault()
    event.stopPropagation()
    app.canvas.processMouseWheel(event)
  })
  const handOn = (kind, isMiddle, method) =>
    element.addEventListener(kind, (event) => isOverCanvas() && isMiddle(event) && app.canvas[method](event))
  handOn('pointerdown', ({ button }) => button === 1, 'processMouseDown')
  handOn('pointermove', ({ buttons }) => (buttons & 4) === 4, 'processMouseMove')
  handOn('pointerup', ({ button }) => button === 1, 'processMouseUp')
  element.addEventListener('contextmenu', (event) => event.stopPropagation()) // the browser's, which promotes no widget
  for (const kind of ['mousedown', 'mouseup', 'auxclick']) {
    element.addEventListener(kind, (event) => event.button === 1 && event.preventDefault()) // it would paste on Linux
  }
}
