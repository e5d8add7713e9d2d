/** What follows from the configuration as a whole. */
import type { Config } from '../config/config.ts';
import type { RateLimit } from '../http/limits.ts';
import type { PaceLimits } from '../http/server-pace.ts';

/** Where clients find us, with a slash at the end. */
export function baseUrlOf(config: Config): string {
  const url = config.server.publicBaseUrl ?? `https://${config.server.serverName}/`;
  return url.endsWith('/') ? url : `${url}/`;
}

/** The keys that ask new users for proofs which this server cannot check: registration must not be open without them. */
export function missingProofs({ registration }: Config): string[] {
  const asked = {
    enable_registration_captcha:
      registration.isCaptchaEnabled && !(registration.recaptchaPublicKey && registration.recaptchaPrivateKey),
    registrations_require_3pid: registration.requiredThreepids.length > 0,
  };
  return Object.entries(asked).flatMap(([key, isAsked]) => (isAsked ? [key] : []));
}

/** The shorter of two times; null is no bound. */
export function shortest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** The limits by the names that endpoints and services use: those of the configuration's section. */
export function limitsOf(config: Config): Record<string, RateLimit> {
  const limits: Record<string, RateLimit> = {};
  for (const [name, limit] of Object.entries(config.rateLimits)) {
    if (typeof limit === 'object' && limit !== null) limits[name] = limit;
  }
  return limits;
}

/** How fast other servers may ask (`rc_federation`). */
export function serverPaceOf({ rateLimits }: Config): PaceLimits {
  return {
    windowMs: rateLimits.federationWindowMs,
    sleepLimit: rateLimits.federationSleepLimit,
    sleepDelayMs: rateLimits.federationSleepDelayMs,
    rejectLimit: rateLimits.federationRejectLimit,
    concurrent: rateLimits.federationConcurrent,
  };
}
