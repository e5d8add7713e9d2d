/** The version of this program. */
import { readFileSync } from 'node:fs';

/** `0.1.0`, as package.json says. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  // Our own package.json.
  return (JSON.parse(text) as { version: string }).version;
}
