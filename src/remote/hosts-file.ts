/** The machine's file of hosts: names that its admin gave addresses, before any name server is asked. */
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';

export type Address = { readonly address: string; readonly family: 4 | 6 };

const PATH = '/etc/hosts';

export class HostsFile {
  readonly #path: string;
  #names = new Map<string, Address[]>();
  #readAt = '';

  constructor(path = PATH) {
    this.#path = path;
  }

  /** The addresses of a name; none where the file does not have it, or is not there. Sees changes of the file. */
  async find(hostname: string): Promise<readonly Address[]> {
    try {
      const { mtimeMs, size } = await stat(this.#path);
      const readAt = `${mtimeMs} ${size}`;
      if (readAt !== this.#readAt) {
        this.#names = parseHosts(await readFile(this.#path, 'utf8'));
        this.#readAt = readAt;
      }
    } catch {
      return [];
    }
    return this.#names.get(hostname.toLowerCase()) ?? [];
  }
}

/** Name → addresses, of the text of such a file. Lines that make no sense are left out. */
export function parseHosts(text: string): Map<string, Address[]> {
  const names = new Map<string, Address[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const version = isIP(address);
    if (version === 0) continue;
    for (const alias of aliases) {
      const key = alias.toLowerCase();
      const known = names.get(key);
      const entry: Address = { address, family: version === 6 ? 6 : 4 };
      if (known === undefined) names.set(key, [entry]);
      else known.push(entry);
    }
  }
  return names;
}
