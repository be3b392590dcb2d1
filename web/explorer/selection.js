// Which concepts a text selects: concept_core/maps/selection.py in the browser.

const ALL = '*'
const SIGN = /\+|(?<=\s)-(?=\s)/g
const NUMBERED = /^(.*\S)\s*#\s*([1-9]\d*)$/s

/**
 * selections: the places in `names` of each one's concepts, and of those that are taken away ~place; unknown: names that are not there.
 * A selection's `things`: for each of its concepts which of its things are meant, from 1 on, from left to right, or none for all.
 */
export function read(text, names, shown) {
  const known = [...names, ALL]
  const wild = names.length
  const unknown = []
  const selections = []
  for (const part of new Set(trimmed(text.split(/[,\n]/)))) {
    let terms = joined(part, known)
    if (!terms) {
      const meant = pieces(part).map(([name, less]) => [name, termOf(name, known, less)])
      unknown.push(...new Set(meant.filter(([name, term]) => name && !term).map(([name]) => name)))
      terms = meant.filter(([, term]) => term).map(([, term]) => term)
    }
    const isThingTaken = ([, less, thing]) => less && thing > 0
    unknown.push(...new Set(terms.filter(isThingTaken).map(([place, , thing]) => `${known[place]} #${thing}`)))
    terms = terms.filter((term) => !isThingTaken(term))
    const places = (isLess) => [...new Set(terms.filter(([, less]) => less === isLess).map(([place]) => place))]
    const added = places(false)
    const taken = places(true)
    if (added.length === 1 && terms[0][0] === wild && !terms[0][2] && !taken.includes(wild)) {
      const shownPlaces = Array.from({ length: shown }, (_, place) => place)
      selections.push(...shownPlaces.filter((place) => !taken.includes(place)).map((place) => [place]))
    } else if (added.includes(wild) || taken.includes(wild)) unknown.push(ALL)
    else if (added.length) {
      const numbers = (place) => [...new Set(terms.filter((term) => term[0] === place && !term[1]).map(([, , thing]) => thing))]
      const things = added.map(numbers).map((some) => (some.includes(0) ? [] : some))
      selections.push(withThings([...added, ...taken.map((place) => ~place)], things))
    }
  }
  return { selections, unknown }
}

/** The places of concepts, of which some mean single things of theirs. */
export const withThings = (places, things) => (things.some((some) => some.length) ? Object.assign(places, { things }) : places)

/** What each place of some selections stands for: ~place where it is taken away, and the things that are meant, none for all. */
export function meantBy(selections) {
  const meant = new Map()
  for (const places of selections) {
    for (const [at, place] of added(places).entries()) {
      const some = places.things?.[at] ?? []
      const before = meant.get(place) ?? some
      meant.set(place, some.length && before.length ? [...new Set([...before, ...some])] : [])
    }
    for (const place of taken(places)) meant.set(~place, [])
  }
  return meant
}

/** The places of concepts without those that are taken away. */
export const added = (places) => places.filter((place) => place >= 0)

export const taken = (places) => places.filter((place) => place < 0).map((place) => ~place)

/** The text that selects those concepts, or things of theirs, joined; none where all are taken away. What is read from the left must not swallow a name: those with a sign come first. */
export function write(places, names) {
  const signs = (name) => name.split(SIGN).length
  const named = (some) => some.sort((a, b) => signs(b) - signs(a))
  const numbered = (place, at) => {
    const some = places.things?.[at] ?? []
    return some.length ? some.map((thing) => `${names[place]} #${thing}`) : [names[place]]
  }
  const less = named(taken(places).map((place) => names[place])).map((name) => ` - ${name}`)
  return added(places).length ? named(added(places).flatMap(numbered)).join(' + ') + less.join('') : ''
}

const trimmed = (parts) => parts.map((part) => part.trim()).filter(Boolean)

/** The place of the name that a text means: itself, else the only one that differs in nothing but case. */
function placeOf(text, names) {
  if (names.includes(text)) return names.indexOf(text)
  const alike = [...names.keys()].filter((place) => folded(names[place]) === folded(text))
  return alike.length === 1 ? alike[0] : -1
}

const folded = (text) => text.toUpperCase().toLowerCase()

/** [place, whether it is taken away, which thing, 0 for all] of a name or of "a #2", or null if it is neither. */
function termOf(text, names, isLess) {
  const whole = placeOf(text, names)
  if (whole >= 0) return [whole, isLess, 0]
  const [, name, thing] = text.match(NUMBERED) ?? []
  const place = name === undefined ? -1 : placeOf(name, names)
  return place < 0 ? null : [place, isLess, Number(thing)]
}

/** That of each name in "a + b - c", or null if it does not consist of names. */
function joined(text, names, isLess = false) {
  const whole = termOf(text.trim(), names, isLess)
  if (whole) return [whole]
  for (const sign of [...text.matchAll(SIGN)].reverse()) {
    const first = termOf(text.slice(0, sign.index).trim(), names, isLess)
    const rest = first && joined(text.slice(sign.index + 1), names, sign[0] === '-')
    if (rest) return [first, ...rest]
  }
  return null
}

/** "a + b - c" cut at every sign, whether names hold them or not. */
function pieces(text) {
  const signs = ['', ...text.match(SIGN) ?? []]
  return text.split(SIGN).map((piece, at) => [piece.trim(), signs[at] === '-'])
}
