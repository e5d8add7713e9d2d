/** The section "Well-known": what strangers find out about this server by its name. */
import { plainValue } from './given.ts';
import { key, section } from './key.ts';
import { anyMap, boolean, type Kind, orNull, text } from './kinds.ts';

const content: Kind<Readonly<Record<string, unknown>>> = {
  words: 'a mapping',
  takesNull: false,
  // A mapping becomes an object.
  read: (given, context) => plainValue(anyMap.read(given, context)) as Readonly<Record<string, unknown>>,
};

export const wellKnownSection = section('Well-known', 'What strangers find out about this server by its name.', {
  servesServer: key(
    'serve_server_wellknown',
    boolean,
    false,
    'Serve /.well-known/matrix/server, which sends others to port 443.',
  ),
  extraClientContent: key('extra_well_known_client_content', content, {}, 'Put into /.well-known/matrix/client.'),
  defaultIdentityServer: key('default_identity_server', orNull(text), null, 'Identity server that clients should use.'),
});
