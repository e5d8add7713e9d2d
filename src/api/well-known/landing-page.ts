/** The page at the root of the server, for whoever opens its address in a browser: what this is, and how to go on. */
import type { Config } from '../../config/config.ts';
import type { ServerName } from '../../core/ids.ts';
import { endpoint, RawReply, type RequestFacts } from '../../http/endpoint.ts';
import { escaped, pageReply } from '../../http/page.ts';
import { empty } from '../../http/schema.ts';

export type LandingFacts = {
  readonly serverName: ServerName;
  readonly config: Pick<Config, 'server' | 'registration'>;
};

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
      return pageReply({ title: `${facts.serverName} – Myelin`, body: bodyOf(facts, request) });
    },
  });

/** The address that people give their client: as configured, else the one by which they came. */
function addressOf({ config, serverName }: LandingFacts, request: RequestFacts): string {
  if (config.server.publicBaseUrl !== null) return config.server.publicBaseUrl;
  const host = request.header('host') ?? '';
  return `${request.isSecure ? 'https' : 'http'}://${/^[\w.:[\]-]{1,255}$/.test(host) ? host : serverName}`;
}

function bodyOf(facts: LandingFacts, request: RequestFacts): string {
  const name = escaped(facts.serverName);
  const address = escaped(addressOf(facts, request));
  return `<h1>Myelin is running</h1>
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
${facts.config.registration.isOpen ? OPEN_TEXT : CLOSED_TEXT}`;
}

const OPEN_TEXT = `<h2>No account yet?</h2>
<p>Registration is open: your client can make you an account here.</p>`;

const CLOSED_TEXT = `<h2>No account yet?</h2>
<p>Whoever runs this server makes accounts on its machine, the first one too, with the server's configuration:</p>
<pre><code>register_new_matrix_user -c homeserver.yaml</code></pre>`;
