// Which concepts a text selects: concept_core/maps/selection.py in the browser.

const ALL = '*'
const SIGN = /\+|(?<=\s)-(?=\s)/g

/**
 * selections: the places in `names` of each one's concepts, and of those that are taken away ~place; unknown: names that are not there.
 */
export function read(text, names, shown) {
  const known = [...names, ALL]
  const wild = names.length
  const unknown = []
  const selections = []
  for (const part of new Set(trimmed(text.split(/[,\n]/)))) {
    let terms = joined(part, known)
    if (!terms) {
      const meant = pieces(part).map(([name, less]) => [name, less, placeOf(name, known)])
      unknown.push(...new Set(meant.filter(([name, , place]) => name && place < 0).map(([name]) => name)))
      terms = meant.filter(([, , place]) => place >= 0).map(([, less, place]) => [place, less])
    }
    const places = (isLess) => [...new Set(terms.filter(([, less]) => less === isLess).map(([place]) => place))]
    const added = places(false)
    const taken = places(true)
    if (added.length === 1 && terms[0][0] === wild && !taken.includes(wild)) {
      const shownPlaces = Array.from({ length: shown }, (_, place) => place)
      selections.push(...shownPlaces.filter((place) => !taken.includes(place)).map((place) => [place]))
    } else if (added.includes(wild) || taken.includes(wild)) unknown.push(ALL)
    else if (added.length) selections.push([...added, ...taken.map((place) => ~place)])
  }
  return { selections, unknown }
}

/** The places of concepts without those that are taken away. */
export const added = (places) => places.filter((place) => place >= 0)

export const taken = (places) => places.filter((place) => place < 0).map((place) => ~place)

/** The text that selects those concepts, joined; none where all are taken away. What is read from the left must not swallow a name: those with a sign come first. */
export function write(places, names) {
  const signs = (name) => name.split(SIGN).length
  const named = (some) => some.map((place) => names[place]).sort((a, b) => signs(b) - signs(a))
  const less = named(taken(places)).map((name) => ` - ${name}`)
  return added(places).length ? named(added(places)).join(' + ') + less.join('') : ''
}

const trimmed = (parts) => parts.map((part) => part.trim()).filter(Boolean)

/** The place of the name that a text means: itself, else the only one that differs in nothing but case. */
function placeOf(text, names) {
  if (names.includes(text)) return names.indexOf(text)
  const alike = [...names.keys()].filter((place) => folded(names[place]) === folded(text))
  return alike.length === 1 ? alike[0] : -1
}

const folded = (text) => text.toUpperCase().toLowerCase()

/** [place, whether it is taken away] of each name in "a + b - c", or null if it does not consist of names. */
function joined(text, names, isLess = false) {
  const whole = placeOf(text.trim(), names)
  if (whole >= 0) return [[whole, isLess]]
  for (const sign of [...text.matchAll(SIGN)].reverse()) {
    const first = placeOf(text.slice(0, sign.index).trim(), names)
    const rest = first >= 0 && joined(text.slice(sign.index + 1), names, sign[0] === '-')
    if (rest) return [[first, isLess], ...rest]
  }
  return null
}

/** "a + b - c" cut at every sign, whether names hold them or not. */
function pieces(text) {
  const signs = ['', ...text.match(SIGN) ?? []]
  return text.split(SIGN).map((piece, at) => [piece.trim(), signs[at] === '-'])
}
