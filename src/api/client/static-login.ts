/**
 * The page on which a person logs in, for clients that know none of this server's ways to do it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#login-fallback
 */
import { MatrixError } from '../../core/errors.ts';
import type { ServerName } from '../../core/ids.ts';
import { type Endpoint, endpoint, type RawReply } from '../../http/endpoint.ts';
import { APP_FRAMES, escaped, pageReply, scriptValue } from '../../http/page.ts';
import { boolean, empty, form, object, optional, string } from '../../http/schema.ts';
import type { Login } from '../../services/login.ts';
import { wireLogin } from './login.ts';
import { deviceWishOf } from './shapes.ts';

const paths = { path: '/_matrix/static/client/login/', alsoAt: ['/_matrix/static/client/login'] };

/** What a client may say of the device that is logged in. */
const wishFields = {
  device_id: optional(string),
  initial_device_display_name: optional(string),
  refresh_token: optional(boolean),
};
type Wish = {
  readonly device_id?: string;
  readonly initial_device_display_name?: string;
  readonly refresh_token?: boolean;
};

const ONLOGIN_SCRIPT = 'window.matrixLogin = window.matrixLogin || {};';

/**
 * Hands the session over. Apps put their own function into the page, and may do so late: the specification's, or the one
 * that apps know from other servers.
 */
const handOver = (session: object): string => `
${ONLOGIN_SCRIPT}
const session = ${scriptValue(session)};
let tries = 0;
const timer = setInterval(() => {
  const onLogin = [window.onLogin, window.matrixLogin.onLogin].find((each) => typeof each === 'function');
  if (onLogin !== undefined) onLogin(session);
  if (onLogin !== undefined || ++tries > 300) clearInterval(timer);
}, 100);
`;

function loginPage(serverName: string, user: string, wish: Wish, refusal?: MatrixError): RawReply {
  const wrong = refusal === undefined ? '' : `<p class="wrong" role="alert">${escaped(refusal.message)}</p>\n`;
  const hidden = Object.entries(wish).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escaped(String(value))}">\n`,
  );
  return pageReply({
    status: refusal?.status ?? 200,
    title: `${refusal === undefined ? 'Log in' : 'Not logged in'} – ${serverName}`,
    script: ONLOGIN_SCRIPT,
    framesFrom: APP_FRAMES,
    hasForm: true,
    body: `<h1>Log in</h1>
<p>Your account is on <strong>${escaped(serverName)}</strong>.</p>
${wrong}<form method="post" action="?">
${hidden.join('')}<label>User name <input type="text" name="user" value="${escaped(user)}" autocomplete="username" autocapitalize="none"
spellcheck="false" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button type="submit">Log in</button>
</form>`,
  });
}

const noPasswords = (): RawReply =>
  pageReply({
    status: 403,
    title: 'Log in',
    body: '<h1>Log in</h1>\n<p>Nobody logs in to this server with a password. Go back to your app and choose another way.</p>',
  });

const wishOf = ({ device_id, initial_device_display_name, refresh_token }: Wish): Wish => ({
  ...(device_id === undefined ? {} : { device_id }),
  ...(initial_device_display_name === undefined ? {} : { initial_device_display_name }),
  ...(refresh_token === undefined ? {} : { refresh_token }),
});

export const staticLoginEndpoints = (services: {
  login: Login;
  publicBaseUrl: string | null;
  serverName: ServerName;
}): Endpoint[] => {
  const allowsPassword = (): boolean => services.login.types.includes('m.login.password');
  return [
    endpoint({
      name: 'getStaticLoginPage',
      method: 'GET',
      ...paths,
      auth: 'none',
      query: object(wishFields),
      reply: empty,
      handler: ({ query }) => (allowsPassword() ? loginPage(services.serverName, '', wishOf(query)) : noPasswords()),
    }),
    endpoint({
      name: 'sendStaticLoginPage',
      method: 'POST',
      ...paths,
      auth: 'none',
      body: form({ user: optional(string), password: optional(string), ...wishFields }),
      reply: empty,
      async handler({ body, request }) {
        if (!allowsPassword()) return noPasswords();
        const { login, publicBaseUrl } = services;
        const user = (body.user ?? '').trim();
        try {
          login.spendOn(request.ip);
          const session = await login.withPassword(user, body.password ?? '', deviceWishOf(body));
          return pageReply({
            title: 'Logged in',
            framesFrom: APP_FRAMES,
            script: handOver(wireLogin(session, publicBaseUrl)),
            body: `<h1>Logged in</h1>
<p>You are <strong>${escaped(session.userId)}</strong>. Your app goes on by itself.</p>
<noscript><p class="wrong">Scripts are switched off here, so that your app cannot hear of it. Allow them, and log in
again.</p></noscript>`,
          });
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error;
          return loginPage(services.serverName, user, wishOf(body), error);
        }
      },
    }),
  ];
};
