/**
 * The templates of Jinja2, as far as pages of policies use them: `{{ name }}`, `{% if name %}`, `{% if not name %}`,
 * `{% else %}`, `{% endif %}` and `{# remarks #}`.
 */

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly name: string }
  | { readonly kind: 'choice'; readonly name: string; readonly isNot: boolean; whenTrue: Part[]; whenFalse: Part[] };

export type TemplateValues = Readonly<Record<string, string | boolean>>;

/** What a template gives for some values: texts are escaped, what is not among them is empty and false. */
export type Template = (values: TemplateValues) => string;

const TAG = /\{\{\s*([\s\S]*?)\s*\}\}|\{%-?\s*([\s\S]*?)\s*-?%\}|\{#[\s\S]*?#\}/g;
const NAME = /^[A-Za-z_]\w*$/;

/**
 * Reads a template.
 *
 * @throws Error where it uses what we do not know
 */
export function readTemplate(text: string, escaping: (text: string) => string): Template {
  const whole: Part[] = [];
  const open: { choice: Extract<Part, { kind: 'choice' }>; isElse: boolean }[] = [];
  const here = (): Part[] => {
    const last = open.at(-1);
    if (last === undefined) return whole;
    return last.isElse ? last.choice.whenFalse : last.choice.whenTrue;
  };
  let end = 0;
  for (const match of text.matchAll(TAG)) {
    const [tag, value, statement] = match;
    here().push({ kind: 'text', text: text.slice(end, match.index) });
    end = match.index + tag.length;
    if (value !== undefined) {
      if (!NAME.test(value)) throw unknown(tag);
      here().push({ kind: 'value', name: value });
    } else if (statement !== undefined) {
      const [, not, name] = /^if\s+(not\s+)?([A-Za-z_]\w*)$/.exec(statement) ?? [];
      const last = open.at(-1);
      if (name !== undefined) {
        const choice = { kind: 'choice' as const, name, isNot: not !== undefined, whenTrue: [], whenFalse: [] };
        here().push(choice);
        open.push({ choice, isElse: false });
      } else if (statement === 'else' && last?.isElse === false) last.isElse = true;
      else if (statement === 'endif' && last !== undefined) open.pop();
      else throw unknown(tag);
    }
  }
  if (open.length > 0) throw new Error('an {% if %} has no {% endif %}');
  whole.push({ kind: 'text', text: text.slice(end) });
  return (values) => render(whole, values, escaping);
}

const unknown = (tag: string): Error => new Error(`${tag.slice(0, 60)} is not understood here`);

function render(parts: readonly Part[], values: TemplateValues, escaping: (text: string) => string): string {
  return parts
    .map((part) => {
      if (part.kind === 'text') return part.text;
      const value = Object.hasOwn(values, part.name) ? values[part.name] : undefined;
      if (part.kind === 'value') return escaping(value === undefined ? '' : String(value));
      const isTrue = value !== undefined && value !== false && value !== '';
      return render(isTrue === part.isNot ? part.whenFalse : part.whenTrue, values, escaping);
    })
    .join('');
}
