/** The service that tells whether the answer to a captcha is right: reCAPTCHA's, or one that speaks as it does. */
import { parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import type { Dialer } from './dialer.ts';
import { RemoteError } from './remote-error.ts';

export type CaptchaVerifierDeps = {
  readonly dialer: Pick<Dialer, 'request'>;
  readonly url: URL;
  /** What the service knows this server by. */
  readonly secret: string;
};

const TIMEOUT_MS = 10_000;
const REPLY_BYTES_MAX = 65_536;

export class CaptchaVerifier {
  readonly #deps: CaptchaVerifierDeps;

  constructor(deps: CaptchaVerifierDeps) {
    this.#deps = deps;
  }

  /** Whether somebody at an address answered right. Throws `RemoteError` where that cannot be found out. */
  async verify(response: string, ip: string): Promise<boolean> {
    const { dialer, url, secret } = this.#deps;
    const reply = await dialer.request({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ secret, response, remoteip: ip }).toString(),
      bodyBytesMax: REPLY_BYTES_MAX,
      timeoutMs: TIMEOUT_MS,
    });
    const text = (await reply.bytes()).toString('utf8');
    const verdict = reply.status === 200 ? verdictOf(text) : null;
    if (verdict === null) throw new RemoteError('bad-reply', `${url.host} gave no verdict on a captcha.`);
    return verdict;
  }
}

function verdictOf(text: string): boolean | null {
  try {
    const reply = parseJson(text);
    const success = isJsonObject(reply) ? reply['success'] : undefined;
    return typeof success === 'boolean' ? success : null;
  } catch {
    return null;
  }
}
