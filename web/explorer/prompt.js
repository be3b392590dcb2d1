// The prompt below the picture, each concept in it in that concept's colour: the fainter, the less it is in the picture.

import { rgb } from './drawing.js'
import { make } from './elements.js'
import { number } from './ranking.js'

const MOST = 0.75 // of a colour, behind a word that is all there
const ABSENT = 0.1 // as concept_core/maps/presence.py

export class PromptLine {
  /** hover(place or null), select(place, event): what the mouse does with a word. */
  constructor({ hover, select }) {
    this.element = make('div', { className: 'prompt', hidden: true })
    const placeOf = ({ target }) => (target.dataset.place === undefined ? null : Number(target.dataset.place))
    this.element.onpointerover = (event) => hover(placeOf(event))
    this.element.onpointerleave = () => hover(null)
    this.element.onclick = (event) => placeOf(event) !== null && select(placeOf(event), event)
  }

  /** For new maps; hidden where no prompt is connected. */
  open(maps) {
    const { text, places } = maps.about.prompt ?? { text: '', places: [] }
    this.element.hidden = !text
    const parts = []
    let end = 0
    for (const [start, stop, place] of places) {
      parts.push(text.slice(end, start), make('span', { textContent: text.slice(start, stop) }, { place }))
      end = stop
    }
    this.element.replaceChildren(...parts, text.slice(end))
  }

  /** Of a picture; seen: the places whose map is seen. */
  mark(maps, picture, seen) {
    const [low, high] = maps.about.shares ? [0, 1] : maps.range(picture)
    for (const word of this.element.children) {
      const place = Number(word.dataset.place)
      const presence = maps.presenceOf(picture, place)
      const part = Math.min(Math.max((presence - low) / (high - low || 1), 0), 1)
      const colour = place < maps.shown ? `rgb(${rgb(maps.about.colours[place])} / ${MOST * part})` : 'transparent'
      word.style.background = colour.replaceAll(',', ' ')
      word.title = `${maps.names[place]}: ${number(presence, maps)}`
      word.classList.toggle('seen', seen.includes(place))
      word.classList.toggle('absent', maps.about.shares && presence < ABSENT)
    }
  }
}
