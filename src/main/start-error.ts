/** What keeps a server from starting, in words for whoever runs it. */
import { readFileSync } from 'node:fs';

/** The server cannot start; the message says why and what to do, for whoever runs it. */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}

/**
 * The text of a file that a key of the configuration names.
 *
 * @throws StartError where it cannot be read
 */
export function readText(path: string, what: string, key: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new StartError(`The ${what} cannot be read from ${path} (${code}; ${key}).`, { cause: error });
  }
}
