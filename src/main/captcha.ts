/** The wiring of captchas at registration. */
import type { Config } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { AddressGuard } from '../remote/address-guard.ts';
import { CaptchaVerifier } from '../remote/captcha-verifier.ts';
import { Dialer } from '../remote/dialer.ts';
import { systemResolver } from '../remote/resolver.ts';
import { captchaStage } from '../services/captcha.ts';
import type { Stage } from '../services/user-interactive-auth.ts';
import { proxiesOf } from './proxies.ts';
import { VERSION } from './version.ts';

/** What a captcha needs while the server runs. */
export type Captcha = { readonly stage: Stage; stop(): Promise<void> };

/** Builds it; null where new users are asked no captcha. */
export function composeCaptcha(config: Config, clock: Clock, log: Log): Captcha | null {
  const { registration } = config;
  const { recaptchaPublicKey: publicKey, recaptchaPrivateKey: secret, recaptchaVerifyUrl: url } = registration;
  if (!registration.isCaptchaEnabled || publicKey === null || secret === null) return null;
  const dialer = new Dialer({
    // Whoever runs the server named the address: it may lie in a network of theirs.
    guard: new AddressGuard({ blocked: [], allowed: [] }),
    resolver: systemResolver(),
    clock,
    tls: { versionMin: 'TLSv1.2', trustRootsPem: null },
    isVerified: () => true,
    userAgent: `Myelin/${VERSION}`,
    proxyFor: proxiesOf(config),
  });
  const verifier = new CaptchaVerifier({ dialer, url: new URL(url), secret });
  return {
    stage: captchaStage({ verifier, publicKey, log: log.child('services.captcha') }),
    stop: () => dialer.close(),
  };
}
