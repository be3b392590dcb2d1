// Masks in the browser, as concept_core/masks makes them with the method threshold.

/** 1 where a map is at least so much, else 0. */
export function cut(map, least) {
  return Uint8Array.from(map, (value) => (value >= least ? 1 : 0))
}

/** Without the parts, whose corners connect, that cover fewer pixels. */
export function withoutSmallParts(mask, width, leastPixels) {
  const kept = new Uint8Array(mask.length)
  const seen = new Uint8Array(mask.length)
  const part = new Int32Array(mask.length)
  const height = mask.length / width
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue
    let found = 1
    part[0] = start
    seen[start] = 1
    for (let next = 0; next < found; next++) {
      const x = part[next] % width
      const y = (part[next] - x) / width
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const at = row * width + column
          if (!mask[at] || seen[at]) continue
          seen[at] = 1
          part[found++] = at
        }
      }
    }
    if (found >= leastPixels) for (let i = 0; i < found; i++) kept[part[i]] = 1
  }
  return kept
}

/** 1 where both have it. */
export function intersection(one, other) {
  return one.map((value, i) => value & other[i])
}

/** 1 where any of them has it. */
export function union(masks) {
  return masks.reduce((all, mask) => all.map((value, i) => value | mask[i]))
}
