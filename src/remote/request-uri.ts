/** The path and query of a call, put together from a contract's template. */
import type { Operation } from '../contracts/operation.ts';
import { RemoteError } from './remote-error.ts';

type Values = Readonly<Record<string, unknown>>;

/**
 * Path and query as they go over the wire. Parameters are escaped so that none of them changes the path's shape.
 *
 * @throws RemoteError for a parameter that no path can hold
 */
export function requestUri({ path }: Pick<Operation, 'path'>, params: Values, query: Values): string {
  const filled = path.replace(/:([A-Za-z]+)/g, (_, name: string) => {
    const value = String(params[name]);
    // Whoever reads a URL takes these for steps in the tree, however they are escaped.
    if (value === '' || value === '.' || value === '..') {
      throw new RemoteError('refused', `"${value}" cannot be asked for.`, { remoteStatus: 404 });
    }
    return encodeURIComponent(value);
  });
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(each))}`);
    }
  }
  return pairs.length === 0 ? filled : `${filled}?${pairs.join('&')}`;
}
