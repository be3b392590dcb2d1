// Elements in a line each.

export function make(tag, properties = {}, data = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  Object.assign(element.dataset, data)
  element.append(...children)
  return element
}

const TICK = '<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.5"/><path d="M5 8.2l2.2 2.2L11 6.2"/></svg>'

/** A ring to tick. */
export function tick(title) {
  return make('button', { type: 'button', title, ariaLabel: title, innerHTML: TICK })
}
