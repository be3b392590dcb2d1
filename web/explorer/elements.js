// Elements in a line each.

export function make(tag, properties = {}, data = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  Object.assign(element.dataset, data)
  element.append(...children)
  return element
}

const icon = (path) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>`
export const ICONS = {
  copyPicture: icon('M2.5 3.5h11v9h-11zM3 11l3-3 2.5 2.5L10.5 8 13 10.5'),
  savePicture: icon('M8 2.5v7.5M5 7.5l3 3 3-3M2.5 13.5h11'),
  editMask: icon('M10.5 3l2.5 2.5-6.5 6.5H4V9.5zM2.5 14.5h11'),
  copyNumbers: icon('M3 6h10M3 10.5h10M6.5 2.5l-1.5 11M11 2.5l-1.5 11'),
  saveMask: icon('M2.5 2.5h11v11h-11zM8 5.2a2.8 2.8 0 1 0 .01 0z'),
  things: icon('M4.5 5.5a2.6 2.6 0 1 0 .01 0zM11.5 5.5a2.6 2.6 0 1 0 .01 0zM9 13.5h5'),
  compare: icon('M1.5 4h5.5v8h-5.5zM9 4h5.5v8H9z'),
}

const TICK = '<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.5"/><path d="M5 8.2l2.2 2.2L11 6.2"/></svg>'

/** A ring to tick. */
export function tick(title) {
  return make('button', { type: 'button', title, ariaLabel: title, innerHTML: TICK })
}
