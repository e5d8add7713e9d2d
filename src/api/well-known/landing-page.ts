/** The page at the root of the server, for whoever opens its address in a browser: what this is, and how to go on. */
import { createHash } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { ServerName } from '../../core/ids.ts';
import { endpoint, RawReply, type RequestFacts } from '../../http/endpoint.ts';
import { empty } from '../../http/schema.ts';

export type LandingFacts = {
  readonly serverName: ServerName;
  readonly config: Pick<Config, 'server' | 'registration'>;
};

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#ccd2d8, #3b444d); --soft: light-dark(#f2f5f7, #20272e);
  --link: light-dark(#0b57a4, #8ec5ff); }
body { margin: 0; font: 1.0625rem/1.55 system-ui, sans-serif; }
main { max-width: 38rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
dl { display: grid; gap: .25rem 1rem; margin: 1.5rem 0; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; }
dt { font-size: .875rem; }
dd { margin: 0 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .75rem 1rem; border-radius: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible { outline: 3px solid currentColor; outline-offset: 3px; border-radius: .125rem; }
`;

// The page needs nothing but its own style: no script, no frame, nobody else's server.
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Nothing where `web_client` is false: then the root is left to others. */
export const landingEndpoints = (facts: LandingFacts) => (facts.config.server.webClient ? [landingPage(facts)] : []);

const landingPage = (facts: LandingFacts) =>
  endpoint({
    name: 'getLandingPage',
    method: 'GET',
    path: '/',
    auth: 'none',
    reply: empty,
    handler({ request }) {
      const { webClientLocation } = facts.config.server;
      if (webClientLocation !== null && /^https?:\/\//i.test(webClientLocation)) {
        return new RawReply(302, { location: webClientLocation }, '');
      }
      const headers = {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
      };
      return new RawReply(200, headers, pageText(facts, request));
    },
  });

/** The address that people give their client: as configured, else the one by which they came. */
function addressOf({ config, serverName }: LandingFacts, request: RequestFacts): string {
  if (config.server.publicBaseUrl !== null) return config.server.publicBaseUrl;
  const host = request.header('host') ?? '';
  return `${request.isSecure ? 'https' : 'http'}://${/^[\w.:[\]-]{1,255}$/.test(host) ? host : serverName}`;
}

function pageText(facts: LandingFacts, request: RequestFacts): string {
  const name = escaped(facts.serverName);
  const address = escaped(addressOf(facts, request));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name} – Myelin</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Myelin is running</h1>
<p>This is a homeserver of <a href="https://matrix.org/" rel="noreferrer">Matrix</a>, the open network for chat and calls.</p>
<dl>
<dt>Name of this server</dt>
<dd>${name}</dd>
<dt>Its address for clients</dt>
<dd>${address}</dd>
</dl>
<h2>Connect</h2>
<p>Take any <a href="https://matrix.org/ecosystem/clients/" rel="noreferrer">Matrix client</a>, give it the address above as
its homeserver, and log in as <strong>@you:${name}</strong> with your password.</p>
${facts.config.registration.isOpen ? OPEN_TEXT : CLOSED_TEXT}
</main>
</body>
</html>
`;
}

const OPEN_TEXT = `<h2>No account yet?</h2>
<p>Registration is open: your client can make you an account here.</p>`;

const CLOSED_TEXT = `<h2>No account yet?</h2>
<p>Whoever runs this server makes accounts on its machine, the first one too, with the server's configuration:</p>
<pre><code>register_new_matrix_user -c homeserver.yaml</code></pre>`;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
