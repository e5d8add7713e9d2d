/**
 * The stage `m.login.recaptcha`: a person, and no program, registers.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#google-recaptcha
 */
import { badRequest, limitExceeded, MatrixError } from '../core/errors.ts';
import type { Log } from '../kit/log.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import type { CaptchaVerifier } from '../remote/captcha-verifier.ts';
import type { Stage } from './user-interactive-auth.ts';

export const CAPTCHA_STAGE = 'm.login.recaptcha';

// Strangers cause these calls.
const CHECKS_AT_ONCE = 20;
const CHECKS_WAITING_MAX = 100;
const RETRY_AFTER_MS = 5000;
const RESPONSE_LENGTH_MAX = 10_000;

export function captchaStage({
  verifier,
  publicKey,
  log,
}: {
  verifier: CaptchaVerifier;
  publicKey: string;
  log: Log;
}): Stage {
  const queue = new KeyedQueue({ atOnce: CHECKS_AT_ONCE, waitingMax: CHECKS_WAITING_MAX });

  async function isRight(response: string, ip: string): Promise<boolean> {
    try {
      return await queue.run('', () => verifier.verify(response, ip));
    } catch (error) {
      if (error instanceof QueueFull) throw limitExceeded(RETRY_AFTER_MS);
      log.warn('A captcha could not be checked.', { error });
      throw new MatrixError(502, 'M_UNKNOWN', 'The captcha cannot be checked just now. Try again later.');
    }
  }

  return {
    params: { public_key: publicKey },
    async check({ response }, { ip }): Promise<undefined> {
      if (typeof response !== 'string' || response === '') {
        throw badRequest('M_CAPTCHA_NEEDED', 'The answer to the captcha is missing.');
      }
      const wrong = new MatrixError(401, 'M_CAPTCHA_INVALID', 'The answer to the captcha is wrong, or has expired.');
      if (response.length > RESPONSE_LENGTH_MAX || !(await isRight(response, ip))) throw wrong;
      return undefined;
    },
  };
}
