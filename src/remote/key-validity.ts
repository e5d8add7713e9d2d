/** Identity servers, asked whether a key of theirs is still valid. */
import { parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import type { Dialer } from './dialer.ts';
import { RemoteError } from './remote-error.ts';

const TIMEOUT_MS = 10_000;
const REPLY_BYTES_MAX = 65_536;
const REDIRECTS_MAX = 3;

export class KeyValidity {
  readonly #dialer: Pick<Dialer, 'request'>;

  constructor(deps: { readonly dialer: Pick<Dialer, 'request'> }) {
    this.#dialer = deps.dialer;
  }

  /**
   * Whether a public key is valid, as the address tells that stands beside it. The address is a stranger's word: the
   * dialer keeps it out of inner networks. Throws `RemoteError` where it cannot be found out.
   */
  async isValid(validityUrl: string, publicKey: string): Promise<boolean> {
    if (!URL.canParse(validityUrl)) return false;
    const url = new URL(validityUrl);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return false;
    url.searchParams.set('public_key', publicKey);
    const reply = await this.#dialer.request({
      method: 'GET',
      url,
      redirectsMax: REDIRECTS_MAX,
      bodyBytesMax: REPLY_BYTES_MAX,
      timeoutMs: TIMEOUT_MS,
    });
    const text = (await reply.bytes()).toString('utf8');
    const valid = reply.status === 200 ? verdictOf(text) : null;
    if (valid === null) throw new RemoteError('bad-reply', `${url.host} does not say whether the key is valid.`);
    return valid;
  }
}

function verdictOf(text: string): boolean | null {
  try {
    const reply = parseJson(text);
    const valid = isJsonObject(reply) ? reply['valid'] : undefined;
    return typeof valid === 'boolean' ? valid : null;
  } catch {
    return null;
  }
}
