/** Pages for browsers, made here and now: they need no other server and, beyond what they name, may do nothing. */
import { createHash } from 'node:crypto';
import { RawReply } from './endpoint.ts';

export type Page = {
  readonly status?: number;
  /** Plain text; the page's title in the browser. */
  readonly title: string;
  /** HTML: what `main` holds. */
  readonly body: string;
  /** A script that the page runs after its body. */
  readonly script?: string;
  /** Further sources of scripts and frames, as a content security policy writes them. */
  readonly scriptsFrom?: readonly string[];
  readonly framesFrom?: readonly string[];
  /** Whether its forms may be sent, to this server. */
  readonly hasForm?: boolean;
};

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#ccd2d8, #3b444d); --soft: light-dark(#f2f5f7, #20272e);
  --link: light-dark(#0b57a4, #8ec5ff); --wrong: light-dark(#a3121f, #ffb3ad); }
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
p { overflow-wrap: anywhere; }
[hidden] { display: none !important; }
form { margin: 1.5rem 0; max-width: 24rem; }
label { display: block; font-weight: 600; margin: 0 0 1rem; }
input { display: block; box-sizing: border-box; width: 100%; min-height: 2.75rem; margin-top: .25rem; padding: .5rem .75rem;
  font: inherit; font-weight: 400; color: inherit; background: Canvas; border: 1px solid GrayText; border-radius: .375rem; }
button { min-height: 2.75rem; padding: .5rem 1.5rem; font: inherit; font-weight: 600; color: Canvas; background: var(--link);
  border: 1px solid transparent; border-radius: .375rem; cursor: pointer; }
input:focus-visible, button:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.wrong { color: var(--wrong); font-weight: 600; }
`;

const sourceOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const STYLE_SOURCE = sourceOf(STYLE);

/** For `framesFrom`: old apps send what their own script learns in a page to themselves, by a frame with such an address. */
export const APP_FRAMES: readonly string[] = ['js:'];

/** A page as an answer. */
export function pageReply(page: Page): RawReply {
  const scripts = [...(page.script === undefined ? [] : [sourceOf(page.script)]), ...(page.scriptsFrom ?? [])];
  const policy = [
    "default-src 'none'",
    `style-src ${STYLE_SOURCE}`,
    ...(scripts.length === 0 ? [] : [`script-src ${scripts.join(' ')}`]),
    ...(page.framesFrom === undefined ? [] : [`frame-src ${page.framesFrom.join(' ')}`]),
    "base-uri 'none'",
    `form-action ${page.hasForm === true ? "'self'" : "'none'"}`,
    "frame-ancestors 'none'",
  ];
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  };
  return new RawReply(page.status ?? 200, headers, pageText(page));
}

function pageText({ title, body, script }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>${script === undefined ? '' : `\n<script>${script}</script>`}
</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML, also within an attribute. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** A value as a script writes it, which no text in it can end. */
export function scriptValue(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[<>\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
