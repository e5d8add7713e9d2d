/**
 * Dot-separated property paths, as push conditions and filters name fields of an event.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */

/** The keys of a path: split at dots, where `\.` is a dot and `\\` a backslash within a key; other escapes stay. */
export function splitDotPath(path: string): string[] {
  const keys: string[] = [];
  let key = '';
  for (let at = 0; at < path.length; at++) {
    const char = path[at]!;
    const next = path[at + 1];
    if (char === '\\' && (next === '.' || next === '\\')) {
      key += next;
      at++;
    } else if (char === '.') {
      keys.push(key);
      key = '';
    } else {
      key += char;
    }
  }
  keys.push(key);
  return keys;
}
