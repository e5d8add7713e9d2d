/**
 * Pages on which a person does one stage of user-interactive authentication, for clients that do not know the stage.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#fallback
 */
import { MatrixError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { type Endpoint, endpoint, type RawReply } from '../../http/endpoint.ts';
import { APP_FRAMES, escaped, type Page, pageReply } from '../../http/page.ts';
import { empty, form, object, optional, string } from '../../http/schema.ts';
import { CAPTCHA_STAGE } from '../../services/captcha.ts';
import { TERMS_STAGE, TOKEN_STAGE } from '../../services/registration-stages.ts';
import type { SessionFacts, UserInteractiveAuth } from '../../services/user-interactive-auth.ts';

const PATH = '/_matrix/client/v3/auth/:stage/fallback/web';

const fields = {
  session: optional(string),
  password: optional(string),
  token: optional(string),
  'g-recaptcha-response': optional(string),
};
type Fields = { readonly password?: string; readonly token?: string; readonly 'g-recaptcha-response'?: string };

/** What a person sees of a stage, and what of the form is the proof. */
type StagePage = {
  readonly title: string;
  /** HTML above the button. */
  body(session: SessionFacts): string;
  readonly button: string;
  proof(fields: Fields, session: SessionFacts): JsonObject;
  readonly more?: Pick<Page, 'scriptsFrom' | 'framesFrom'>;
};

/** What captchas are made of comes from there. */
const CAPTCHA_SOURCES = ['www.recaptcha.net', 'www.google.com', 'www.gstatic.com'].map(
  (host) => `https://${host}/recaptcha/`,
);

const PAGES: Readonly<Record<string, StagePage>> = {
  'm.login.dummy': {
    title: 'Please confirm',
    body: () => '',
    button: 'Go on',
    proof: () => ({}),
  },
  'm.login.password': {
    title: 'Please confirm with your password',
    body: ({ userId }) => `<p>You are <strong>${escaped(userId ?? '')}</strong>.</p>
<input type="text" name="user" autocomplete="username" value="${escaped(userId ?? '')}" hidden>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>`,
    button: 'Confirm',
    proof: ({ password }, { userId }) => ({
      identifier: { type: 'm.id.user', user: userId },
      password: password ?? '',
    }),
  },
  [TOKEN_STAGE]: {
    title: 'Please give your registration token',
    body: () => `<p>Whoever runs this server hands out tokens to those who may make an account.</p>
<label>Token <input type="text" name="token" autocomplete="off" autocapitalize="none" spellcheck="false" required></label>`,
    button: 'Go on',
    proof: ({ token }) => ({ token: (token ?? '').trim() }),
  },
  [TERMS_STAGE]: {
    title: 'Please read and agree',
    body: ({ params }) => `<p>To have an account here you must agree to:</p>\n<ul>${policyLinks(params)}</ul>`,
    button: 'I agree',
    proof: () => ({}),
  },
  [CAPTCHA_STAGE]: {
    title: 'Please show that you are a person',
    body: ({ params }) => `<div class="g-recaptcha" data-sitekey="${escaped(String(params['public_key']))}"></div>
<noscript><p class="wrong">This check comes from another site and works only with scripts. Allow them, and load the page
again.</p></noscript>
<script src="https://www.recaptcha.net/recaptcha/api.js" async defer></script>`,
    button: 'Go on',
    proof: (given) => ({ response: given['g-recaptcha-response'] ?? '' }),
    more: { scriptsFrom: CAPTCHA_SOURCES, framesFrom: CAPTCHA_SOURCES },
  },
};

function policyLinks({ policies }: JsonObject): string {
  // Our own parameters: each policy has a version and, by language, a name and an address.
  const all = Object.values(policies as Record<string, Record<string, { name: string; url: string }>>);
  return all
    .flatMap(({ version: _, ...texts }) => texts['en'] ?? Object.values(texts)[0] ?? [])
    .map(({ name, url }) => `<li><a href="${escaped(url)}" target="_blank" rel="noopener">${escaped(name)}</a></li>`)
    .join('');
}

/** What the client that began a session wants to do, so that nobody confirms what they did not mean. */
const PURPOSES: readonly (readonly [method: string, path: RegExp, words: string])[] = [
  ['POST', /\/register$/, 'make an account'],
  ['POST', /\/account\/deactivate$/, 'close your account for good'],
  ['POST', /\/account\/password$/, 'set a new password'],
  ['POST', /\/login\/get_token$/, 'log another device in to your account'],
  ['DELETE', /\/devices\/[^/]+$/, 'log one of your devices out'],
  ['POST', /\/delete_devices$/, 'log devices of yours out'],
];

function purposeOf({ method, path }: SessionFacts): string {
  const [, , words] = PURPOSES.find(([ofMethod, ofPath]) => ofMethod === method && ofPath.test(path)) ?? [];
  return words ?? 'do something that needs your confirmation';
}

// Apps put their own function into the page, and may do so late.
const DONE_SCRIPT = `
if (window.opener) window.opener.postMessage('authDone', '*');
let tries = 0;
const timer = setInterval(() => {
  if (typeof window.onAuthDone === 'function') window.onAuthDone();
  if (typeof window.onAuthDone === 'function' || ++tries > 300) clearInterval(timer);
}, 100);
`;

const donePage = (): RawReply =>
  pageReply({
    title: 'Done',
    framesFrom: APP_FRAMES,
    body: '<h1>Done</h1>\n<p>Thank you. You can close this page and go on in your app.</p>',
    script: DONE_SCRIPT,
  });

const gonePage = (): RawReply =>
  pageReply({
    status: 404,
    title: 'Nothing to do here',
    body: `<h1>Nothing to do here</h1>
<p>This step has been done, is not asked for, or has waited too long. Go back to your app and begin again.</p>`,
  });

function stagePage(stage: StagePage, id: string, session: SessionFacts, refusal?: MatrixError): RawReply {
  const { title, body, button, more = {} } = stage;
  const wrong = refusal === undefined ? '' : `<p class="wrong" role="alert">${escaped(refusal.message)}</p>\n`;
  return pageReply({
    status: refusal?.status ?? 200,
    title: refusal === undefined ? title : `Not accepted: ${title}`,
    hasForm: true,
    ...more,
    body: `<h1>${title}</h1>
<p>An app wants to ${purposeOf(session)}. If that was not you, close this page.</p>
${wrong}<form method="post" action="?">
<input type="hidden" name="session" value="${escaped(id)}">
${body(session)}
<button type="submit">${button}</button>
</form>`,
  });
}

export const fallbackPageEndpoints = (services: { userInteractiveAuth: UserInteractiveAuth }): Endpoint[] => {
  const lookUp = (name: string, id = '') => {
    const stage = Object.hasOwn(PAGES, name) ? PAGES[name] : undefined;
    const session = services.userInteractiveAuth.find(id, name);
    return stage === undefined || session === null ? null : { stage, session, id };
  };
  return [
    endpoint({
      name: 'getAuthFallbackPage',
      method: 'GET',
      path: PATH,
      auth: 'none',
      params: object({ stage: string }),
      query: object({ session: optional(string) }),
      reply: empty,
      handler({ params, query }) {
        const found = lookUp(params.stage, query.session);
        if (found === null) return gonePage();
        return found.session.isCompleted ? donePage() : stagePage(found.stage, found.id, found.session);
      },
    }),
    endpoint({
      name: 'sendAuthFallbackPage',
      method: 'POST',
      path: PATH,
      auth: 'none',
      params: object({ stage: string }),
      body: form(fields),
      reply: empty,
      async handler({ params, body, request }) {
        const found = lookUp(params.stage, body.session);
        if (found === null) return gonePage();
        const { stage, session, id } = found;
        try {
          const proof = stage.proof(body, session);
          if (!session.isCompleted) await services.userInteractiveAuth.complete(id, params.stage, proof, request.ip);
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error;
          return stagePage(stage, id, session, error);
        }
        return donePage();
      },
    }),
  ];
};
