// The concepts in rows: swatch, name, value, and a bar as long as the value.

import { rgb } from './drawing.js'
import { make, tick } from './elements.js'

/** ranked: [{ place, value }]; range: the values of no bar and of a full one. */
export function rows(ranked, maps, [low, high], words) {
  return ranked.map(({ place, value }) => {
    const background = place >= maps.shown
    const colour = background ? 'currentColor' : `rgb(${rgb(maps.about.colours[place])})`
    const swatch = make('i', { className: 'swatch' })
    const bar = make('b')
    if (!background) swatch.style.background = colour
    bar.style.background = colour
    bar.style.width = `${100 * Math.min(Math.max((value - low) / (high - low || 1), 0), 1)}%`
    const name = make('span', { className: 'name', textContent: maps.names[place] })
    const parts = [swatch, name, make('small'), bar, make('em', { textContent: number(value, maps) }), tick(words.select)]
    const title = background ? words.background : words.row
    return make('li', { title, className: background ? 'background' : '' }, { place }, ...parts)
  })
}

/** A share or a raw score, for people. */
export function number(value, maps) {
  return maps.about.shares ? `${Math.round(100 * value)} %` : value.toFixed(1)
}

export function placeOf(event) {
  const row = event.target.closest('li')
  return row ? Number(row.dataset.place) : null
}
