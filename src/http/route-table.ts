/**
 * Finds the endpoint of a method and path. One tree of path segments answers all three questions: which endpoint, no
 * such path (404), or not with this method (405, `Allow`).
 */

export type Route<T> = {
  readonly method: string;
  /** `/a/:b/c`; a last segment `*` takes the rest of the path. */
  readonly path: string;
  readonly target: T;
};

export type Match<T> = {
  readonly target: T;
  /** By name, percent-decoded; the rest of a `*` path is called `rest`. */
  readonly params: Record<string, string>;
};

type Leaf<T> = { readonly target: T; readonly names: readonly string[] };
type Node<T> = {
  readonly statics: Map<string, Node<T>>;
  param: Node<T> | null;
  /** By method. */
  readonly leaves: Map<string, Leaf<T>>;
  readonly rests: Map<string, Leaf<T>>;
};

/** A wildcard never takes these: an unknown API path must be answered as one, not with the web client's start page. */
const API_PREFIXES = new Set(['_matrix', '_synapse', '_myelin', '.well-known']);
const SEGMENTS_MAX = 64;

const newNode = <T>(): Node<T> => ({ statics: new Map(), param: null, leaves: new Map(), rests: new Map() });

export class RouteTable<T> {
  readonly #root: Node<T> = newNode();

  /** Throws where two routes have one method and path, or a path that no request can have. */
  constructor(routes: Iterable<Route<T>>) {
    for (const route of routes) this.#add(route);
  }

  #add({ method, path, target }: Route<T>): void {
    if (!path.startsWith('/')) throw new Error(`The path ${path} does not start with a slash.`);
    const names: string[] = [];
    let node = this.#root;
    let leaves: Map<string, Leaf<T>> | null = null;
    for (const segment of path.slice(1).split('/')) {
      if (leaves !== null) throw new Error(`In ${path}, something follows the star.`);
      if (segment === '*') {
        names.push('rest');
        leaves = node.rests;
      } else if (segment.startsWith(':')) {
        names.push(segment.slice(1));
        node.param ??= newNode();
        node = node.param;
      } else {
        let next = node.statics.get(segment);
        if (next === undefined) {
          next = newNode();
          node.statics.set(segment, next);
        }
        node = next;
      }
    }
    leaves ??= node.leaves;
    if (leaves.has(method)) throw new Error(`Two endpoints are declared at ${method} ${path}.`);
    leaves.set(method, { target, names });
  }

  /**
   * The route of a request's raw path. The path is split before it is decoded, so that `%2F` within an ID stays part of
   * it; a fixed segment goes before a parameter, a parameter before a wildcard. Null where a segment is no
   * percent-encoded UTF-8 or nothing matches.
   */
  find(method: string, rawPath: string): Match<T> | null {
    const segments = split(rawPath);
    if (segments === null) return null;
    const values: string[] = [];
    const leaf = findLeaf(this.#root, segments, 0, values, method);
    if (leaf === null) return null;
    const params: Record<string, string> = {};
    for (let index = 0; index < leaf.names.length; index++) params[leaf.names[index]!] = values[index]!;
    return { target: leaf.target, params };
  }

  /** The routes of all methods at a path, wildcards left out; empty where the path is unknown. */
  targetsAt(rawPath: string): Map<string, T> {
    const found = new Map<string, T>();
    const segments = split(rawPath);
    if (segments !== null) collect(this.#root, segments, 0, found);
    return found;
  }
}

function split(rawPath: string): string[] | null {
  const segments = rawPath.split('/', SEGMENTS_MAX + 1);
  if (segments.length > SEGMENTS_MAX) return null;
  if (rawPath.includes('%')) {
    try {
      for (let index = 1; index < segments.length; index++) {
        const segment = segments[index]!;
        if (segment.includes('%')) segments[index] = decodeURIComponent(segment);
      }
    } catch {
      return null;
    }
  }
  segments.shift();
  return segments;
}

function findLeaf<T>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  values: string[],
  method: string,
): Leaf<T> | null {
  if (at === segments.length) {
    const leaf = node.leaves.get(method);
    if (leaf !== undefined) return leaf;
  } else {
    const segment = segments[at]!;
    const next = node.statics.get(segment);
    if (next !== undefined) {
      const leaf = findLeaf(next, segments, at + 1, values, method);
      if (leaf !== null) return leaf;
    }
    if (node.param !== null) {
      values.push(segment);
      const leaf = findLeaf(node.param, segments, at + 1, values, method);
      if (leaf !== null) return leaf;
      values.pop();
    }
  }
  const rest = node.rests.get(method);
  if (rest === undefined || (at === 0 && API_PREFIXES.has(segments[0] ?? ''))) return null;
  values.push(segments.slice(at).join('/'));
  return rest;
}

function collect<T>(node: Node<T>, segments: readonly string[], at: number, found: Map<string, T>): void {
  if (at === segments.length) {
    for (const [method, leaf] of node.leaves) if (!found.has(method)) found.set(method, leaf.target);
    return;
  }
  const next = node.statics.get(segments[at]!);
  if (next !== undefined) collect(next, segments, at + 1, found);
  if (node.param !== null) collect(node.param, segments, at + 1, found);
}
