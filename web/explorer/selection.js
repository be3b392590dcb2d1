// Which concepts a text selects: concept_core/maps/selection.py in the browser.

/** selections: the places in `names` of each one's concepts; unknown: names that are not there. */
export function read(text, names, shown) {
  if (text.trim() === '*') return { selections: [...Array(shown).keys()].map((place) => [place]), unknown: [] }
  const parts = new Set(trimmed(text.split(/[,\n]/)))
  const selections = []
  const unknown = []
  for (const part of parts) {
    let places = joined(part, names)
    if (!places) {
      const pieces = trimmed(part.split('+'))
      unknown.push(...pieces.filter((piece) => placeOf(piece, names) < 0))
      places = pieces.map((piece) => placeOf(piece, names)).filter((place) => place >= 0)
    }
    if (places.length) selections.push([...new Set(places)])
  }
  return { selections, unknown }
}

/** The text that selects those concepts, joined. What is read from the left must not swallow a name: those with a plus come first. */
export function write(places, names) {
  const pluses = (name) => name.split('+').length
  return places
    .map((place) => names[place])
    .sort((a, b) => pluses(b) - pluses(a))
    .join(' + ')
}

const trimmed = (parts) => parts.map((part) => part.trim()).filter(Boolean)

/** Of the name that a text means: itself, else the only one that differs in nothing but case. */
function placeOf(text, names) {
  if (names.includes(text)) return names.indexOf(text)
  const alike = [...names.keys()].filter((place) => folded(names[place]) === folded(text))
  return alike.length === 1 ? alike[0] : -1
}

const folded = (text) => text.toUpperCase().toLowerCase()

function joined(text, names) {
  const whole = placeOf(text.trim(), names)
  if (whole >= 0) return [whole]
  for (let at = text.lastIndexOf('+'); at > 0; at = text.lastIndexOf('+', at - 1)) {
    const first = placeOf(text.slice(0, at).trim(), names)
    const rest = first >= 0 && joined(text.slice(at + 1), names)
    if (rest) return [first, ...rest]
  }
  return null
}
